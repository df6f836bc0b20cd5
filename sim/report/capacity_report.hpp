// SPDX-License-Identifier: Apache-2.0
// A capacity sweep as numbers for people: shares, percentiles, marginal prices, knees.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sim/report/run_report.hpp"
#include "sim/step/capacity_sweep.hpp"

namespace moesim {

struct CapacityReport {
  RunReport run;  ///< head of the report; no steps
  CapacitySweep sweep;
};

/// Cost of the last step from the factor before: what avoiding one percentage point of drops takes.
struct MarginalPrice {
  double seconds = 0.0;       ///< of the mean step time
  double tokens_per_s = 0.0;  ///< throughput given up
};

struct CapacitySummary {
  const CapacityPoint* point = nullptr;
  Distribution step_s;
  double dropped_mean = 0.0;  ///< share of assignments, mean over steps and layers
  double dropped_p99 = 0.0;
  std::optional<double> weight_mean;  ///< share of gate weight
  std::optional<double> weight_p99;
  double lost_tokens = 0.0;            ///< share of tokens that lose all their experts
  double diverted = 0.0;               ///< share of assignments
  double padding = 0.0;                ///< share of computed rows that hold no token
  double tokens_per_s = 0.0;           ///< of all ranks, through the simulated layers
  std::optional<MarginalPrice> price;  ///< none where drops fall by less than 0.01 points
  bool is_knee = false;
};

struct CapacityCurveSummary {
  CapacityCurve curve;
  std::vector<CapacitySummary> points;  ///< by factor
  std::optional<std::size_t> knee;
};

/// The point of a falling curve farthest below the chord from its first to its last point:
///   argmax of 1 - x' - y', x' = (x - x_first) / (x_last - x_first), y' alike from last to first
/// None when x does not grow or y does not fall over the whole curve, or no point lies more than
/// 0.05 below the chord (a nearly straight curve). Source: Satopaa et al. 2011 (Kneedle), without
/// smoothing. Valid for: the swept range; it moves with the first and the last point. Checked by:
/// capacity_report_test.
[[nodiscard]] std::optional<std::size_t> knee_of(std::span<const double> x,
                                                 std::span<const double> y);

/// The report must outlive the summary. x of the knee: mean step time; y: dropped share.
[[nodiscard]] std::vector<CapacityCurveSummary> summarise(const CapacityReport& report);
[[nodiscard]] CapacitySummary summarise_point(const CapacityPoint& point);

/// "drop, scope rank".
[[nodiscard]] std::string curve_name(const CapacityCurve& curve);

[[nodiscard]] std::string capacity_text(const CapacityReport& report);
[[nodiscard]] std::string capacity_json(const CapacityReport& report);
[[nodiscard]] std::string capacity_csv(const CapacityReport& report);
/// Two charts in one picture that needs nothing else: drops by factor, and drops by step time.
[[nodiscard]] std::string capacity_svg(const CapacityReport& report);

}  // namespace moesim
