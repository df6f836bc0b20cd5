// SPDX-License-Identifier: Apache-2.0
// How long each step of a program takes on each rank, alone and beside a communication kernel.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sim/step/attention_cost.hpp"
#include "sim/step/layer_work.hpp"
#include "sim/step/phase_load.hpp"
#include "sim/step/program.hpp"
#include "sim/step/whole_model.hpp"

namespace moesim {

/// What one micro-batch computes.
struct PassLoad {
  AttentionLoad attention;
  std::int64_t head_rows = 0;  ///< of a rank's TP group
  /// By TP group, where they differ: WholeModel::loads; the two above are then not looked at.
  std::vector<std::vector<AttentionLoad>> groups = {};

  /// Of a TP group.
  [[nodiscard]] std::int64_t tokens(std::size_t group) const;
};
/// The load of a whole step, or of a micro-batch of training, whose head works on every token.
[[nodiscard]] PassLoad pass_load(const WholeModel& model);

/// Times of what a TP group computes of its own.
struct GroupCosts {
  Seconds attention;
  Seconds dense;
  Seconds head;
};

/// Times of one micro-batch on one kind of GPU.
struct PassCosts {
  Seconds attention;
  Seconds attention_backward;
  Seconds dense;
  Seconds dense_backward;
  Seconds head;
  Seconds head_backward;
  SimTime expert_gradients;  ///< of a rank's routed experts, added to those of other micro-batches
  SimTime shared_gradients;
  std::vector<LayerCompute> layers;                   ///< as the layers given
  std::vector<GroupCosts> groups = {};                ///< where they differ, forward passes only
  int tp = 1;                                         ///< ranks of a group
  std::vector<std::vector<SimTime>> activation = {};  ///< by layer and rank, computed again
};

/// Backward passes take twice the forward time, attention_backward_time for attention; a gate
/// besides the sum of the gradients that come back, as the combine's sum; a reduce, and with
/// expert_return the kernels that only move rows, their own time once. Recompute::kSelective adds
/// the activations of FFNs: 3 widths of bf16 a row through memory. Besides, the gradient of every
/// weight of the layer is read and written in gradient_dtype, to be added to those of the
/// micro-batches before (no kernel of its own), and the head has cross_entropy_time; fp8 experts
/// quantise gradients and, the other way, inputs: 6 and 2 B an element. Source: each GEMM has two
/// of its size in the backward pass; gradient accumulation fused into the GEMMs of weights
/// (Megatron-Core); DeepSeek-V3 report, sections 3.3.2 and 3.5.2. Valid for: kernels as efficient
/// backwards as forwards. Left out: dropout, quantising of dense layers. Checked by: overlap_test,
/// train_step_test.
/// @param alone  the layers' own times are those of `compute`
[[nodiscard]] PassCosts pass_costs(const WholeModel& model,
                                   const ComputeModel& compute,
                                   const PassLoad& load,
                                   std::span<const PreparedLayer> layers,
                                   bool alone);

/// Of `step` on `rank` at nominal speed of its GPU; layer times hold its speed already.
/// @param moe  index into costs.layers, of MoE steps
[[nodiscard]] SimTime step_time(const PassCosts& costs,
                                const ProgramStep& step,
                                std::size_t moe,
                                std::size_t rank,
                                double speed);

/// W of a pass: what its backward pass spends on gradients of weights, which no other stage waits
/// for. attention_weights_time, dense_ffn_time, experts of the slowest rank, head_time, each as
/// long as forwards, and adding the gradients up. Source: zero-bubble pipelines (Qi et al. 2023),
/// whose backward passes come in two. Valid for: kernels as efficient backwards as forwards;
/// gathering and activation of experts count as theirs. Checked by: train_step_test.
[[nodiscard]] Seconds weight_gradients_time(const WholeModel& model,
                                            const PassLoad& load,
                                            const StageLayers& layers,
                                            bool head,
                                            std::span<const PreparedLayer> prepared);

/// The multiprocessors that a dispatch or combine kernel keeps from compute: dispatch.sms, none for
/// low_latency, whose transfers run without a kernel once they are issued (DeepEP's hook).
[[nodiscard]] int kernel_sms(const DispatchSpec& dispatch);

/// The GPU that is left beside communication kernels: its multiprocessors less kernel_sms, its
/// rates in proportion, and the memory bandwidth less what the kernels move,
///   share = sum over phases of 2 * bytes / ranks / sum of phase times / (bandwidth * efficiency),
/// at most half (two streams that both want all of it), with bytes sent and received once each and
/// a phase's time at least communication_start + its closed-form bound: an upper bound of the
/// share. Source: DeepSeek-V3 report, section 3.2.2 (20 of 132 multiprocessors); fair sharing of
/// HBM. Valid for: kernels that keep their multiprocessors; caches shared freely are left out.
/// Checked by: overlap_test, train_step_test.
[[nodiscard]] ComputeModel beside_communication(const StepModel& model,
                                                std::span<const PreparedLayer> layers,
                                                PathTable& paths,
                                                const std::vector<BytesPerSecond>& capacity);

}  // namespace moesim
