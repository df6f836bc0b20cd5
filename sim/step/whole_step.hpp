// SPDX-License-Identifier: Apache-2.0
// One prefill or decode step of a whole model: attention, dense and MoE layers and the head on one
// task graph. The dense model is the same without MoE layers.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "sim/core/sim_time.hpp"
#include "sim/step/attention_cost.hpp"
#include "sim/step/layout.hpp"
#include "sim/step/step.hpp"

namespace moesim {

/// Everything a whole step depends on. Read-only while steps run.
struct WholeModel {
  StepModel step;  ///< its layers are the model's MoE layers; a dense model has none and no routing
  StepKind kind = StepKind::kDecode;  ///< kPrefill or kDecode
  ParallelSpec parallel;              ///< one pipeline stage
  BatchSpec batch;
  Dtype kv_dtype = Dtype::kBf16;
  /// What each TP group (tp ranks, in order) brings, instead of what kind and batch say: sequences
  /// of any kinds and lengths. Empty: all groups alike, by kind and batch. The routing brings the
  /// tokens of rank i of a group of T tokens: T * i / tp up to T * (i + 1) / tp, rounded down.
  std::vector<std::vector<AttentionLoad>> loads = {};
};

/// Parts of a whole step's critical path.
enum class WholePart : std::uint8_t {
  kAttention,       ///< with the norms of a layer
  kTensorParallel,  ///< gathering and reducing rows inside TP groups
  kDense,           ///< FFNs of dense layers
  kGate,
  kDispatch,
  kExperts,  ///< routed and shared
  kCombine,  ///< transfers and the weighted sum
  kHead,
};
inline constexpr std::size_t kNumWholeParts = 8;
using WholeParts = std::array<SimTime, kNumWholeParts>;
[[nodiscard]] std::string_view whole_part_name(WholePart part);  ///< "attention", ...

struct WholeStepResult {
  int step = 0;
  SimTime makespan;
  WholeParts parts{};  ///< of the critical path; they sum to the makespan exactly
  std::int64_t flows = 0;
  std::int64_t network_events = 0;
};

/// Simulates step `step` of the whole model, one stream a rank, nothing overlapped:
///   layer = [gather] attention [reduce] FFN,   FFN = [gather] dense [reduce], or gate -> dispatch
///   ->
///           experts -> combine as append_layer has them
/// and the head after the last layer. In brackets, with tp > 1 only: every rank of a TP group sends
/// its rows (tokens_per_rank * hidden * 2 B) to each other one (all-gather), or the partial sums of
/// theirs (reduce-scatter), as flows that start communication_start after the rank is ready and end
/// when all its own have left and arrived. No barrier: a rank waits only for what it needs.
/// Source: Megatron-LM with sequence parallelism (Korthikanti et al. 2022); DeepSeek-V3 report 3.4
/// for data-parallel attention between expert-parallel layers. Valid for: direct exchanges inside a
/// scale-up domain; the adding up of partial sums is free. Left out: overlap of any kind
/// (two-batch, shared expert); multicast in the switch (NVLS); sampling. Checked by:
/// whole_step_test (by hand; sum of parts; a dense model).
[[nodiscard]] WholeStepResult simulate_whole_step(const WholeModel& model, int step);

struct WholeControl {
  int threads = 0;                                       ///< 0: all cores
  const std::atomic<bool>* cancelled = nullptr;          ///< checked before each step
  std::function<void(int done, int total)> on_progress;  ///< may be empty
};

/// Steps 0 .. steps - 1 in order. Throws Cancelled (replay.hpp).
[[nodiscard]] std::vector<WholeStepResult> replay_whole(const WholeModel& model,
                                                        int steps,
                                                        const WholeControl& control);

}  // namespace moesim
