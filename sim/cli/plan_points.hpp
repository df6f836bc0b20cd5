// SPDX-License-Identifier: Apache-2.0
// The configurations of a plan, loaded, priced and bounded before anything is simulated.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sim/report/money_report.hpp"
#include "sim/scenario/plan_file.hpp"
#include "sim/study/plan_search.hpp"

namespace moesim::cli {

/// One configuration: a scenario, or why it is none.
struct PlanPoint {
  std::vector<std::string> values;  ///< of the swept keys
  std::optional<Scenario> scenario;
  std::string key;                   ///< of the refusal
  std::string refusal;               ///< its message
  std::optional<MoneyReport> money;  ///< of serving: of hardware that idles
  PlanCandidate candidate;
  int nodes = 0;
  double memory_share = 0;
};

struct PlanPoints {
  std::vector<std::string> keys;
  std::vector<PlanPoint> points;
};

struct PrepareControl {
  std::vector<std::string> overrides;         ///< --set and --seed, over every configuration
  std::function<void(int, int)> on_progress;  ///< may be empty; one at a time
};

/// Loads every configuration in parallel: refuses those that contradict themselves, do not fit
/// their GPUs' memory or exceed a budget that needs no simulation (purchase, hourly, power), prices
/// and bounds the others. Throws UserError when the plan asks for costs without a price list, or
/// limits what the steps do not have. Throws Cancelled once interrupted() is set.
[[nodiscard]] PlanPoints prepare_plan(const PlanFile& plan, const PrepareControl& control);

}  // namespace moesim::cli
