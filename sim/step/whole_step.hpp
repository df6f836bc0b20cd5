// SPDX-License-Identifier: Apache-2.0
// One step of a whole model: attention, dense and MoE layers and the head on one task graph; a
// training step besides its pipeline, gradients and optimiser. The dense model is the same without
// MoE layers.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <vector>

#include "sim/core/sim_time.hpp"
#include "sim/step/prepared_batch.hpp"
#include "sim/step/whole_model.hpp"

namespace moesim {

struct WholeStepResult {
  int step = 0;
  SimTime makespan;
  /// Of the critical path; in training and with pp > 1 of the time of a rank, mean over the stages.
  /// They sum to the makespan exactly.
  WholeParts parts{};
  SimTime communication;  ///< of a rank: dispatch, combine and TP kernels, mean over ranks
  std::int64_t flows = 0;
  std::int64_t network_events = 0;
};

/// Simulates step `step` of the whole model. Prefill and decode:
///   layer = [gather] attention [reduce] FFN,   FFN = [gather] dense [reduce], or gate -> dispatch
///   -> experts -> combine, in the order that program.hpp gives each overlap,
/// and the head after the last layer. In brackets, with tp > 1 only: every rank of a TP group sends
/// its rows (tokens_per_rank * hidden * 2 B) to each other one (all-gather), or the partial sums of
/// theirs (reduce-scatter), as flows that start communication_start after the rank is ready and end
/// when all its own have left and arrived. No barrier: a rank waits only for what it needs.
/// two_batch cuts the batch into halves() that take turns; pass_graph.hpp says what slows compute.
/// Source: Megatron-LM with sequence parallelism (Korthikanti et al. 2022); DeepSeek-V3 report 3.4
/// for data-parallel attention between expert-parallel layers. Valid for: direct exchanges inside a
/// scale-up domain; the adding up of partial sums is free. Left out: multicast in the switch
/// (NVLS); sampling. With pp > 1 a step is that of batch.micro_batches micro-batches:
/// forward_pipeline.hpp. Training: train_step.hpp. Checked by: whole_step_test (by hand; sum of
/// parts; a dense model), overlap_test.
[[nodiscard]] WholeStepResult simulate_whole_step(const WholeModel& model, int step);

/// The same of prefill and decode, prepared before. @param prepared  by prepare_whole_step
[[nodiscard]] WholeStepResult simulate_prepared_step(const WholeModel& model,
                                                     int step,
                                                     const PreparedStep& prepared);

struct WholeControl {
  int threads = 0;                               ///< 0: all cores
  const std::atomic<bool>* cancelled = nullptr;  ///< checked before each step or part
  /// May be empty. In steps; in training in simulated passes, from any thread, one at a time.
  std::function<void(int done, int total)> on_progress;
};

/// Steps 0 .. steps - 1 in order. Throws Cancelled (replay.hpp).
[[nodiscard]] std::vector<WholeStepResult> replay_whole(const WholeModel& model,
                                                        int steps,
                                                        const WholeControl& control);

}  // namespace moesim
