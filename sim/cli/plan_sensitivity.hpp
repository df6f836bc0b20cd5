// SPDX-License-Identifier: Apache-2.0
// What would change a plan's choice: one input at a time, and how far until another wins.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sim/cli/plan_yield.hpp"
#include "sim/report/plan_report.hpp"

namespace moesim::cli {

/// One configuration with what was simulated for it.
struct PlanChoice {
  const Scenario* scenario = nullptr;
  PlanYield yield;
};

struct SensitivityControl {
  CostKind cost = CostKind::kRented;
  PlanObjective objective = PlanObjective::kCost;
  double vary = 0.2;                          ///< 0: no swings
  PlanCache* cache = nullptr;                 ///< not null
  std::function<void(int, int)> on_progress;  ///< may be empty; one at a time
};

/// The objective of `choice` with every input at 1 - vary and 1 + vary, widest first. Inputs of
/// physics are simulated anew: link rates of scale-up and of scale-out, memory bandwidth, compute
/// rate (each times its efficiency: only the product counts), starts of kernels, skew of generated
/// routing, in serving the rate of arrivals. Prices change the cost alone. Throws Cancelled once
/// interrupted() is set.
[[nodiscard]] std::vector<PlanSwing> swings_of(const PlanChoice& choice,
                                               const SensitivityControl& control);

/// For every such input, the factor at which the objective of `choice` meets that of `other`:
/// rates of the choice down to a quarter, its price up to four times, the price of the other down
/// to a quarter. With vary 0 of prices alone. @pre `choice` is better than `other`
[[nodiscard]] std::vector<PlanThreshold> thresholds_of(const PlanChoice& choice,
                                                       const PlanChoice& other,
                                                       const SensitivityControl& control);

/// Whether a swing is one of prices.
[[nodiscard]] bool is_price_knob(const std::string& knob);

}  // namespace moesim::cli
