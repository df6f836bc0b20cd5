// SPDX-License-Identifier: Apache-2.0
// The search of a plan over its scenarios, and the result as a report.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/cli/plan_points.hpp"
#include "sim/cli/plan_yield.hpp"
#include "sim/report/plan_report.hpp"

namespace moesim::cli {

/// What a search leaves behind. Candidate c of the search is point ready[c].
struct PlanResult {
  PlanPoints points;
  std::vector<std::size_t> ready;  ///< points that can be simulated
  std::vector<PlanRun> runs;       ///< by point
  PlanSearch search;
  std::optional<std::size_t> alternative;  ///< candidate
  int steps = 1;                           ///< of a whole simulation
  /// What configurations share; sensitivity goes on with it.
  std::shared_ptr<PlanCache> cache = std::make_shared<PlanCache>();

  [[nodiscard]] const Scenario& scenario(std::size_t point) const {
    return *points.points[point].scenario;
  }
};

struct PlannerControl {
  std::vector<std::string> overrides;
  int threads = 0;
  bool quiet = false;
};

/// Searches the plan. With a front, the alternative is the configuration on another cluster (where
/// there is one) that is best in search.choose, by a search of its own, so with the same proof.
/// After Ctrl-C what is known so far comes back, and interrupted() is taken back.
[[nodiscard]] PlanResult run_plan(const PlanFile& plan, const PlannerControl& control);

/// The report but for sensitivity and evidence.
[[nodiscard]] PlanReport describe_plan(const PlanFile& plan, const PlanResult& result);

/// Adds swings, thresholds and what the choice rests on. @pre the front is not empty
void examine_choice(const PlanFile& plan, const PlanResult& result, bool quiet, PlanReport& report);

}  // namespace moesim::cli
