// SPDX-License-Identifier: Apache-2.0
// `moesim run` of a whole model.
#pragma once

#include "sim/cli/options.hpp"
#include "sim/moe/expert_cost.hpp"

namespace moesim::cli {

/// Of a whole model: nothing but its experts and its exchanges has a fit.
[[nodiscard]] Evidence whole_grade(const CostConstants& constants);

/// Simulates the scenario's prefill, decode or training steps and shows them.
void run_whole(const ScenarioOptions& options);

}  // namespace moesim::cli
