// SPDX-License-Identifier: Apache-2.0
// `moesim run` of a whole model.
#pragma once

#include "sim/cli/options.hpp"
#include "sim/moe/expert_cost.hpp"
#include "sim/step/whole_step.hpp"

namespace moesim::cli {

/// Simulates the scenario's prefill or decode steps and shows them.
void run_whole(const ScenarioOptions& options);

/// The scenario's whole model on what assemble_whole() made of it.
[[nodiscard]] WholeModel whole_model(const Scenario& scenario, StepModel step);

/// What a whole model's step rests on at best.
[[nodiscard]] Evidence whole_grade(const CostConstants& constants);

}  // namespace moesim::cli
