// SPDX-License-Identifier: Apache-2.0
// `moesim run` of a whole model.
#pragma once

#include "sim/cli/options.hpp"
#include "sim/cli/simulate.hpp"
#include "sim/moe/expert_cost.hpp"
#include "sim/report/whole_report.hpp"
#include "sim/step/whole_step.hpp"

namespace moesim::cli {

/// Of a whole model: nothing but its experts and its exchanges has a fit.
[[nodiscard]] Evidence whole_grade(const CostConstants& constants);

/// The scenario's whole model on what assemble_whole() made of it.
[[nodiscard]] WholeModel whole_model(const Scenario& scenario, StepModel step);

/// The steps of a whole model. Throws UserError (assemble_whole), Cancelled.
/// @param file  the scenario's name in the report
[[nodiscard]] WholeReport simulate_whole(const std::filesystem::path& file,
                                         const Scenario& scenario,
                                         const SimulateControl& control);

/// Simulates the scenario's prefill, decode or training steps and shows them.
/// @param timeline  also write timeline.json.gz, of the slowest step
void run_whole(const ScenarioOptions& options, bool timeline = false);

}  // namespace moesim::cli
