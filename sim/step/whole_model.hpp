// SPDX-License-Identifier: Apache-2.0
// What a step of a whole model depends on, and the parts its time is split into.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "sim/core/sim_time.hpp"
#include "sim/step/attention_cost.hpp"
#include "sim/step/layout.hpp"
#include "sim/step/step.hpp"

namespace moesim {

/// What training does beside forward and backward passes.
struct TrainingSpec {
  Recompute recompute = Recompute::kNone;
  int zero_stage = 0;
  Dtype gradient_dtype = Dtype::kFp32;
  bool overlap_gradients = true;  ///< gradients are reduced while the backward pass runs
  int samples = 1;                ///< routings that the micro-batches of a step take turns with
  Schedule schedule = Schedule::kOneForwardOneBackward;
};

/// Everything a whole step depends on. Read-only while steps run.
struct WholeModel {
  StepModel step;  ///< its layers are the model's MoE layers; a dense model has none and no routing
  StepKind kind = StepKind::kDecode;  ///< not kMoeLayers
  ParallelSpec parallel;
  BatchSpec batch;
  Dtype kv_dtype = Dtype::kBf16;
  Overlap overlap = Overlap::kNone;
  TrainingSpec training = {};
  Seconds host_layer = {};  ///< see run_passes
  /// What each TP group (tp ranks, in order) brings, instead of what kind and batch say: sequences
  /// of any kinds and lengths. Empty: all groups alike, by kind and batch. The routing brings the
  /// tokens of rank i of a group of T tokens: T * i / tp up to T * (i + 1) / tp, rounded down.
  /// Prefill and decode without two_batch only.
  std::vector<std::vector<AttentionLoad>> loads = {};
};

/// Parts of a whole step's time.
enum class WholePart : std::uint8_t {
  kAttention,       ///< with the norms of a layer
  kTensorParallel,  ///< gathering and reducing rows inside TP groups
  kDense,           ///< FFNs of dense layers
  kGate,
  kDispatch,
  kExperts,  ///< routed and shared
  kCombine,  ///< transfers and the weighted sum
  kHead,
  kSlowed,     ///< compute beyond its time alone, beside communication kernels
  kHost,       ///< waiting for the host to issue kernels
  kPipeline,   ///< with pp > 1, as the next: waiting for rows of another stage
  kBubble,     ///< waiting for the schedule of the pipeline
  kGradients,  ///< this and the following in training only
  kWeights,    ///< gathering the weights that ZeRO divides
  kOptimiser,
};
inline constexpr std::size_t kNumWholeParts = 15;
using WholeParts = std::array<SimTime, kNumWholeParts>;
[[nodiscard]] std::string_view whole_part_name(WholePart part);  ///< "attention", ...

/// Whether the part is time of communication that nothing hides. The weighted sum of a combine
/// counts, where it is a kernel of its own.
[[nodiscard]] bool is_exposed_communication(WholePart part);

}  // namespace moesim
