// SPDX-License-Identifier: Apache-2.0
// The slowest step of a run once more, with all its tasks: its timeline, and how busy links were.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "sim/report/run_report.hpp"
#include "sim/report/serving_report.hpp"
#include "sim/report/timeline.hpp"
#include "sim/report/whole_report.hpp"
#include "sim/scenario/scenario.hpp"
#include "sim/step/step_trace.hpp"
#include "sim/step/whole_step.hpp"

namespace moesim::cli {

/// A step with its tasks and what a timeline names.
struct TracedStep {
  std::string scenario;
  int step = 0;
  StepTrace trace;
  FabricView fabric;
  std::vector<double> link_rates;
  std::vector<std::string> link_names;

  [[nodiscard]] TimelineInput input() const;
};

/// The step with the longest makespan, the first of equally long ones.
[[nodiscard]] const StepResult& slowest_step(const RunReport& report);

/// Simulates the slowest step of the report again.
[[nodiscard]] TracedStep trace_slowest(const Scenario& scenario, const RunReport& report);
/// @pre no training steps: those are written as they are simulated
[[nodiscard]] TracedStep trace_slowest(const Scenario& scenario, const WholeReport& report);

/// Writes its timeline, gzipped (sim/report's timeline.hpp).
void write_timeline_file(const std::filesystem::path& file, const TracedStep& traced);
/// Simulates the slowest training step again and writes its timeline (sim/report's
/// train_timeline.hpp). Throws Cancelled.
void write_train_timeline_file(const std::filesystem::path& file,
                               const Scenario& scenario,
                               const WholeReport& report,
                               const WholeControl& control);
/// Of requests over time (sim/report's serving_timeline.hpp).
void write_timeline_file(const std::filesystem::path& file, const ServingReport& report);

}  // namespace moesim::cli
