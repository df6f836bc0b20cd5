// SPDX-License-Identifier: Apache-2.0
// One training step: passes through the parts of a pipeline, gradients, optimiser.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "sim/step/pass_graph.hpp"
#include "sim/step/whole_step.hpp"

namespace moesim {

/// One part of the model with one routing.
struct TrainPass {
  PassResult forward;
  PassResult backward;
  PassResult pair;  ///< dualpipe: both beside each other
  SimTime weights;  ///< of the backward pass, gradients of weights
};

/// What a simulated pass is.
enum class PassKind : std::uint8_t { kForward, kBackward, kPair };
struct PassPlace {
  int part = 0;    ///< of the model
  int sample = 0;  ///< routing
  PassKind kind = PassKind::kForward;
};

struct TrainControl {
  const std::atomic<bool>* cancelled = nullptr;  ///< checked before each part of the model
  std::function<void()> on_pass;  ///< after each simulated pass, from any thread, one at a time
  /// Runs a pass in place of run_passes, from any thread; may be empty.
  std::function<PassResult(const PassPlace&, std::span<const Pass>)> run = {};
};

/// Simulates a training step in two levels.
///
/// 1. Each part of the model (pp * virtual_stages of them) is run on the GPUs of the first
///    expert-parallel group, flow by flow, once for each of `samples` routings: forward, backward
///    and, with dualpipe, both beside each other (pass_graph.hpp).
/// 2. The schedule of the pipeline runs with these times; the rows between stages are flows of
/// every
///    rank of one copy of the model (pipeline.hpp).
/// Then, per stage and rank with P_e parameters of experts (copies on dp ranks) and P_o others
/// (dp ep / tp ranks), a reduce-scatter or all-gather of s bytes being ring_time(s):
///   gradients  reduce-scatter of P gradient_dtype; ZeRO 0: and an all-gather of the same. ZeRO 0,
///   1:
///              once a step; with overlap_gradients all but one layer's share from the start of the
///              stage's last backward pass on. ZeRO 2, 3: after each backward pass
///   optimiser  P / copies (ZeRO 0: P) * (26 + gradient bytes) / (bandwidth * efficiency) + launch:
///              fp32 weight and two moments read and written, a bf16 weight written
///   weights    all-gather of 2 P bytes: ZeRO 1, 2 after the optimiser; ZeRO 3 before each pass,
///              while the pass before runs
/// With Schedule::kDualPipe a stage holds two parts of the model, whose copies are twice as many:
/// on both stages that hold them. Parts of the result: what passes consist of, mean over stages;
/// bubble, what the schedule alone leaves idle; pipeline, weights, gradients, optimiser, how much
/// later the step ends because of each, in this order. They sum to the makespan exactly. Source:
/// Narayanan et al. 2021; ZeRO (Rajbhandari et al. 2020); Adam in mixed precision. Valid for:
/// groups that all lie in the cluster as the first one; no faults beside a pipeline. Left out: skew
/// between ranks from one pass to the next (a pass ends with its last rank); differences between
/// micro-batches beyond `samples`; contention of collectives with passes; the norm of all
/// gradients; data loading, checkpoints. Checked by: train_step_test, cli_whole_test.
[[nodiscard]] WholeStepResult simulate_train_step(const WholeModel& model,
                                                  int step,
                                                  const TrainControl& control = {});

/// The first level alone: by part of the model and routing. Steps that differ only in what the
/// second level depends on (dp, micro_batches, zero_stage, overlap_gradients) have
/// the same passes.
using TrainPasses = std::vector<std::vector<TrainPass>>;
[[nodiscard]] TrainPasses simulate_train_passes(const WholeModel& model,
                                                int step,
                                                const TrainControl& control = {});
/// The second level, with the passes of the same step: simulate_train_step is one after the other.
[[nodiscard]] WholeStepResult schedule_train_step(const WholeModel& model,
                                                  int step,
                                                  const TrainPasses& passes);

/// Passes that a training step simulates: how often on_pass is called.
[[nodiscard]] int num_passes(const WholeModel& model);

}  // namespace moesim
