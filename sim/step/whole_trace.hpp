// SPDX-License-Identifier: Apache-2.0
// Every task of one prefill or decode step of a whole model and when it ran.
#pragma once

#include "sim/step/step_trace.hpp"
#include "sim/step/whole_model.hpp"

namespace moesim {

/// Simulates the step as simulate_whole_step does and keeps its tasks. Spans: attention, dense,
/// head, gate, experts (routed and shared) and weighted sum on the compute track; dispatch, combine
/// and TP exchanges with the start of their kernels on the communication track, those of a second
/// micro-batch on a track of their own.
/// @param makespan  of the step, as simulate_whole_step has it
/// @pre no training step: its passes have a trace of their own (train_trace.hpp)
/// Checked by: cli_whole_test.
[[nodiscard]] StepTrace trace_whole_step(const WholeModel& model, int step, SimTime makespan);

}  // namespace moesim
