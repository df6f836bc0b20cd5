// SPDX-License-Identifier: Apache-2.0
// A placement study for people and programs.
#pragma once

#include <string>
#include <vector>

#include "sim/report/run_report.hpp"
#include "sim/step/placement_study.hpp"
#include "sim/step/rebalance.hpp"

namespace moesim {

struct PlacementReport {
  RunReport run;  ///< head of the report; no steps
  PlacementStudy study;
  std::vector<RebalanceOutcome> policies;  ///< never first; empty when none was asked for
};

/// "try: saves 3.1 % of a step (12.3 us, 95 % interval 10.1 us to 14.5 us); ...": what the verdict
/// rests on and the number that would flip it.
[[nodiscard]] std::string verdict_text(const JudgedPlacement& judged,
                                       const JudgedPlacement& baseline,
                                       double horizon);

/// "never", "every 32 steps", "above imbalance 1.2".
[[nodiscard]] std::string policy_text(const RebalancePolicy& policy);

[[nodiscard]] std::string_view to_text(VerdictKind kind);

[[nodiscard]] std::string placement_text(const PlacementReport& report);
[[nodiscard]] std::string placement_json(const PlacementReport& report);
/// A row a placement.
[[nodiscard]] std::string placement_csv(const PlacementReport& report);
/// A row for every placement and judged step.
[[nodiscard]] std::string placement_steps_csv(const PlacementReport& report);
/// Step time over the judged steps and mean imbalance by placement; needs nothing else.
[[nodiscard]] std::string placement_svg(const PlacementReport& report);

}  // namespace moesim
