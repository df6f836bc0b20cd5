// SPDX-License-Identifier: Apache-2.0
#include "sim/report/capacity_report.hpp"

#include <fmt/core.h>

#include "sim/core/check.hpp"

namespace moesim {
namespace {

/// A curve that nowhere lies this far below its chord is straight: it has no knee.
constexpr double kLeastBend = 0.05;

/// Drops that fall by less, in percentage points, have no price: it would be noise.
constexpr double kLeastFall = 0.01;

double ratio(double part, double whole) {
  return whole > 0.0 ? part / whole : 0.0;
}

double ratio(std::int64_t part, std::int64_t whole) {
  return ratio(static_cast<double>(part), static_cast<double>(whole));
}

/// What the step from `before` to `after` costs for each percentage point of drops avoided.
std::optional<MarginalPrice> price(const CapacitySummary& before, const CapacitySummary& after) {
  const double points = 100.0 * (before.dropped_mean - after.dropped_mean);
  if (points < kLeastFall) {
    return std::nullopt;
  }
  return MarginalPrice{.seconds = (after.step_s.mean - before.step_s.mean) / points,
                       .tokens_per_s = (before.tokens_per_s - after.tokens_per_s) / points};
}

void mark_knee(CapacityCurveSummary& curve) {
  std::vector<double> x;
  std::vector<double> y;
  for (const CapacitySummary& point : curve.points) {
    x.push_back(point.step_s.mean);
    y.push_back(point.dropped_mean);
  }
  curve.knee = knee_of(x, y);
  if (curve.knee) {
    curve.points[*curve.knee].is_knee = true;
  }
}

}  // namespace

std::optional<std::size_t> knee_of(std::span<const double> x, std::span<const double> y) {
  MOESIM_CHECK(x.size() == y.size() && !x.empty(), "a curve has points");
  const double width = x.back() - x.front();
  const double height = y.front() - y.back();
  if (width <= 0.0 || height <= 0.0) {
    return std::nullopt;
  }
  std::optional<std::size_t> best;
  double farthest = kLeastBend;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double below = 1.0 - (x[i] - x.front()) / width - (y[i] - y.back()) / height;
    if (below > farthest) {
      farthest = below;
      best = i;
    }
  }
  return best;
}

CapacitySummary summarise_point(const CapacityPoint& point) {
  CapacitySummary summary;
  summary.point = &point;
  summary.step_s = distribution_of(point.step_s);
  const Distribution dropped = distribution_of(point.dropped_ratio);
  summary.dropped_mean = dropped.mean;
  summary.dropped_p99 = dropped.p99;
  if (!point.dropped_weight_ratio.empty()) {
    const Distribution weight = distribution_of(point.dropped_weight_ratio);
    summary.weight_mean = weight.mean;
    summary.weight_p99 = weight.p99;
  }
  summary.lost_tokens = ratio(point.lost_tokens, point.tokens);
  summary.diverted = ratio(point.diverted, point.assignments);
  summary.padding = ratio(point.padding_rows, point.padding_rows + point.accepted_rows);
  const double layers = ratio(static_cast<double>(point.dropped_ratio.size()),
                              static_cast<double>(point.step_s.size()));
  const double tokens_a_step =
      ratio(static_cast<double>(point.tokens), static_cast<double>(point.step_s.size()) * layers);
  summary.tokens_per_s = ratio(tokens_a_step, summary.step_s.mean);
  return summary;
}

std::vector<CapacityCurveSummary> summarise(const CapacityReport& report) {
  const CapacitySweep& sweep = report.sweep;
  std::vector<CapacityCurveSummary> curves;
  const std::size_t factors = sweep.curves.empty() ? 0 : sweep.points.size() / sweep.curves.size();
  for (std::size_t c = 0; c < sweep.curves.size(); ++c) {
    CapacityCurveSummary curve{.curve = sweep.curves[c], .points = {}, .knee = {}};
    for (std::size_t f = 0; f < factors; ++f) {
      CapacitySummary point = summarise_point(sweep.points[c * factors + f]);
      if (f > 0) {
        point.price = price(curve.points.back(), point);
      }
      curve.points.push_back(point);
    }
    mark_knee(curve);
    curves.push_back(std::move(curve));
  }
  return curves;
}

std::string curve_name(const CapacityCurve& curve) {
  return fmt::format("{}, scope {}", to_text(curve.policy), to_text(curve.scope));
}

}  // namespace moesim
