// SPDX-License-Identifier: Apache-2.0
// Every task of one simulated step and when it ran.
#pragma once

#include <vector>

#include "sim/step/layer_tasks.hpp"
#include "sim/step/step.hpp"
#include "sim/step/task_graph.hpp"

namespace moesim {

struct StepTrace {
  TaskGraph graph;
  std::vector<LayerTasks> layers;
  TaskTimes times;
};

/// Simulates the step as simulate_step does and keeps its tasks instead of their sums.
/// Checked by: timeline_test.
[[nodiscard]] StepTrace trace_step(const StepModel& model, int step);

}  // namespace moesim
