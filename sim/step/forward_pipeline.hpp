// SPDX-License-Identifier: Apache-2.0
// Inference on a pipeline: micro-batches that go forwards through its stages.
#pragma once

#include <span>

#include "sim/step/pass_graph.hpp"
#include "sim/step/whole_step.hpp"

namespace moesim {

/// How long a micro-batch takes in each stage and between two; all micro-batches are alike.
struct ForwardStages {
  std::vector<SimTime> passes;
  std::vector<SimTime> transfers;  ///< from stage i to i + 1
  int micro_batches = 1;           ///< under way
  /// Decode: a micro-batch begins its next token once the last stage has sampled the one before.
  bool cycles = false;
};

/// The time of a step, T being the sum of passes and transfers, L the longest of them, m the
/// micro-batches:
///   decode    max(T, m L)        time per output token in the steady state
///   prefill   T + (m - 1) L      until the last of m micro-batches has left, the pipe empty before
/// Proof: a stage and a way between two have one micro-batch at a time; first come first served.
/// The next token waits for the one before (T) and for the m - 1 others at the slowest place.
/// Valid for: transfers that go beside passes. Checked by: forward_pipeline_test (property: by
/// simulating every micro-batch).
[[nodiscard]] SimTime forward_step(const ForwardStages& stages);

/// The time that the rows of a micro-batch take from `stage` to the next: communication_start and
/// all ranks' flows together, tokens_per_rank rows of bf16 from each rank to the one of its index.
/// Left out: what the exchanges of the stages themselves do on the same links.
[[nodiscard]] SimTime stage_transfer_time(const WholeModel& model, int stage);

/// A step on pp stages from the passes of each. Parts as in training: of the time of a rank, mean
/// over stages; `pipeline` is what transfers add, `bubble` what the schedule leaves idle.
/// Source: PipeDream's inference part; vLLM and SGLang keep pp micro-batches under way. Left out:
/// micro-batches of unequal length and routing, sending sampled tokens back.
[[nodiscard]] WholeStepResult forward_result(const WholeModel& model,
                                             int step,
                                             std::span<const PassResult> stages);

}  // namespace moesim
