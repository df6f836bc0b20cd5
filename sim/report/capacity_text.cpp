// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include "sim/report/capacity_report.hpp"
#include "sim/report/table.hpp"
#include "sim/report/text_report.hpp"

namespace moesim {
namespace {

std::string head(const CapacityReport& report) {
  const CapacitySweep& sweep = report.sweep;
  const auto points = static_cast<std::int64_t>(sweep.points.size());
  return wrapped(fmt::format("{}: {} points and the dropless one, {} step(s) each ({} of {} runs "
                             "were needed), seed {}",
                             report.run.scenario,
                             points,
                             sweep.steps_done,
                             sweep.simulated,
                             (points + 1) * sweep.steps_done,
                             report.run.seed)) +
         provenance_text(report.run);
}

std::string partial(const CapacitySweep& sweep) {
  return sweep.steps_done == sweep.steps
             ? ""
             : fmt::format("PARTIAL: interrupted after {} of {} steps; every point covers those\n",
                           sweep.steps_done,
                           sweep.steps);
}

/// Number of a share in %, without the unit.
std::string percent(double share) {
  return three_digits(100.0 * share);
}

/// Microseconds; a price may be negative: more capacity, less time.
std::string price_cell(const CapacitySummary& summary) {
  if (!summary.price) {
    return "-";
  }
  const double us = summary.price->seconds * 1e6;
  return fmt::format("{}{}", us < 0.0 ? "-" : "", three_digits(us < 0.0 ? -us : us));
}

std::vector<std::string> row(const std::string& name, const CapacitySummary& s, bool pads) {
  std::vector<std::string> cells = {name,
                                    percent(s.dropped_mean),
                                    percent(s.dropped_p99),
                                    s.weight_mean ? percent(*s.weight_mean) : "-",
                                    percent(s.lost_tokens),
                                    pads ? percent(s.padding) : percent(s.diverted)};
  const auto bytes = static_cast<double>(s.point->dispatch_bytes + s.point->combine_bytes) /
                     static_cast<double>(s.point->step_s.size());
  cells.push_back(readable_bytes(bytes));
  cells.push_back(readable_time(s.step_s.mean));
  cells.push_back(readable_time(s.step_s.p99));
  cells.push_back(price_cell(s));
  return cells;
}

std::string curve_text(const CapacityCurveSummary& curve, const CapacitySummary& dropless) {
  const bool pads = curve.curve.policy == OverflowPolicy::kPad;
  std::vector<std::vector<std::string>> rows;
  for (const CapacitySummary& point : curve.points) {
    const std::string factor = fmt::format("{}", point.point->spec.factor);
    rows.push_back(row(point.is_knee ? factor + " *" : factor, point, pads));
  }
  rows.push_back(row("none", dropless, pads));
  std::string text = fmt::format("\n{}\n", curve_name(curve.curve));
  text += table({"factor",
                 "drop %",
                 "P99",
                 "weight",
                 "lost",
                 pads ? "waste" : "moved",
                 "bytes",
                 "step",
                 "P99",
                 "us/1 %"},
                rows);
  if (curve.knee) {
    return text + fmt::format("knee *: factor {}\n", curve.points[*curve.knee].point->spec.factor);
  }
  return text + "no knee: drops or step time do not change, or the curve is nearly straight\n";
}

}  // namespace

std::string capacity_text(const CapacityReport& report) {
  const CapacitySummary dropless = summarise_point(report.sweep.dropless);
  std::string text = head(report) + partial(report.sweep);
  for (const CapacityCurveSummary& curve : summarise(report)) {
    text += curve_text(curve, dropless);
  }
  text +=
      "\nShares in %: dropped assignments (mean and P99 over steps and layers), their\n"
      "gate weight, tokens that lose all experts, assignments moved to another expert\n"
      "(or computed rows without a token). Bytes and times of a step. us/1 %: what\n"
      "each percentage point of drops avoided since the factor above costs.\n";
  for (const std::string& note : report.run.notes) {
    text += wrapped("note: " + note);
  }
  return text;
}

}  // namespace moesim
