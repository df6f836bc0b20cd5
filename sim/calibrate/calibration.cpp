// SPDX-License-Identifier: Apache-2.0
#include "sim/calibrate/calibration.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>

namespace moesim::calibrate {
namespace {

/// Nearest-rank percentile of sorted values.
double percentile(const std::vector<double>& sorted, double p) {
  const double rank = std::ceil(p / 100.0 * static_cast<double>(sorted.size()));
  return sorted[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
}

/// A set of points to leave out together.
struct Fold {
  std::string name;
  std::function<bool(const Point&)> holds;
};

std::vector<Fold> folds_of(std::span<const Point> points) {
  std::set<int> eps;
  std::set<std::string> shapes;
  std::set<double> sizes;
  for (const Point& point : points) {
    eps.insert(point.ep);
    shapes.insert(point.shape);
    sizes.insert(point.size);
  }
  std::vector<Fold> folds;
  if (eps.size() > 1) {
    for (const int ep : eps) {
      folds.push_back({fmt::format("EP {}", ep), [ep](const Point& p) { return p.ep == ep; }});
    }
  }
  if (shapes.size() > 1) {
    for (const std::string& shape : shapes) {
      folds.push_back({shape, [shape](const Point& p) { return p.shape == shape; }});
    }
  }
  std::vector<std::set<double>> parts(kSizeFolds);
  std::size_t next = 0;
  for (const double size : sizes) {
    parts[next++ % kSizeFolds].insert(size);
  }
  for (std::size_t i = 0; i < parts.size() && sizes.size() > 1; ++i) {
    folds.push_back({fmt::format("sizes {} of {}", i + 1, kSizeFolds),
                     [part = parts[i]](const Point& p) { return part.contains(p.size); }});
  }
  return folds;
}

Covered range_of(std::span<const Point> points, double Point::*member) {
  const auto less = [&](const Point& a, const Point& b) { return a.*member < b.*member; };
  const auto [low, high] = std::minmax_element(points.begin(), points.end(), less);
  return {(*low).*member, (*high).*member};
}

/// Refits without each fold and predicts its points. A fold without which the constants cannot all
/// be told apart (too few points, or a constant of its own) is passed over.
void cross_validate(KernelFit& kernel, std::span<const Point> points) {
  for (const Fold& fold : folds_of(points)) {
    std::vector<Point> kept;
    std::copy_if(points.begin(), points.end(), std::back_inserter(kept), [&](const Point& p) {
      return !fold.holds(p);
    });
    const std::size_t left_out = points.size() - kept.size();
    if (left_out == 0 || kept.size() <= kernel.fit.moved.size() ||
        constants_of(kept).size() < kernel.fit.moved.size()) {
      continue;
    }
    const Fitted fitted = refit(kept, kernel.fit);
    kernel.folds.push_back(fold.name);
    for (Judged& judged : kernel.points) {
      if (fold.holds(*judged.point)) {
        judged.left_out.emplace_back(fold.name, judged.point->predict(fitted.constants));
      }
    }
  }
}

void record_errors(KernelFit& kernel, std::span<const Point> points) {
  std::vector<double> fitted;
  std::vector<double> left_out;
  for (const Judged& judged : kernel.points) {
    fitted.push_back(judged.fitted / judged.point->measured);
    for (const auto& [fold, predicted] : judged.left_out) {
      left_out.push_back(predicted / judged.point->measured);
    }
  }
  FitRecord& record = kernel.record;
  record.kernel = kernel.kernel;
  record.fitted = errors_of(fitted);
  record.left_out = errors_of(left_out);
  std::vector<double> spread = left_out.empty() ? fitted : left_out;
  for (double& ratio : spread) {
    ratio = 1 / ratio;
  }
  std::sort(spread.begin(), spread.end());
  record.spread_p10 = percentile(spread, 10);
  record.spread_p90 = percentile(spread, 90);
  record.rows = range_of(points, &Point::rows);
  record.slots = range_of(points, &Point::slots);
  record.hidden = range_of(points, &Point::hidden);
  record.width = range_of(points, &Point::width);
  std::set<std::string> dtypes;
  std::set<std::string> sources;
  for (const Point& point : points) {
    if (!point.weights.empty() && dtypes.insert(point.weights).second) {
      record.weight_dtypes.push_back(point.weights);
    }
    if (sources.insert(point.source).second) {
      record.source += (record.source.empty() ? "" : "; ") + point.source;
    }
  }
}

KernelFit fit_kernel(std::span<const Point> points, const CostConstants& base) {
  KernelFit kernel;
  kernel.kernel = points.front().kernel;
  kernel.family = points.front().family;
  kernel.fit = fit_constants(points, base);
  for (const Point& point : points) {
    kernel.points.push_back({&point, point.predict(kernel.fit.constants), {}});
  }
  cross_validate(kernel, points);
  record_errors(kernel, points);
  return kernel;
}

}  // namespace

FitErrors errors_of(std::vector<double> ratios) {
  FitErrors errors;
  errors.points = static_cast<int>(ratios.size());
  if (ratios.empty()) {
    return errors;
  }
  std::sort(ratios.begin(), ratios.end());
  errors.bias = percentile(ratios, 50) - 1;
  for (double& ratio : ratios) {
    ratio = std::abs(ratio - 1);
  }
  std::sort(ratios.begin(), ratios.end());
  errors.median = percentile(ratios, 50);
  errors.p90 = percentile(ratios, 90);
  return errors;
}

std::vector<KernelFit> calibrate(std::vector<std::vector<Point>> const& by_kernel,
                                 const CostConstants& base) {
  std::vector<KernelFit> fits;
  fits.reserve(by_kernel.size());
  for (const std::vector<Point>& points : by_kernel) {
    fits.push_back(fit_kernel(points, base));
  }
  return fits;
}

}  // namespace moesim::calibrate
