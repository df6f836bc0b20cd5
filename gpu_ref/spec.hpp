// SPDX-License-Identifier: Apache-2.0
// What a MoE layer is: sizes, gate, capacity, experts' places. Plain values, shared by the CUDA
// layer, its CPU oracle and the measurement kit.
#pragma once

#include <cstdint>
#include <vector>

namespace moesim::gpu_ref {

/// Limits of the kernels; a launcher throws std::invalid_argument beyond them.
constexpr int kMostExperts = 1024;
constexpr int kMostTopK = 32;
constexpr int kMostGroups = 32;
constexpr int kRowAlignment = 8;  ///< widths in elements: 16-byte rows in bf16

/// Sizes of one layer. Expert weights are gate+up [2 * expert_width, hidden] (the gate rows first)
/// and down [hidden, expert_width], row-major.
struct LayerShape {
  int hidden = 0;
  int expert_width = 0;
  int num_experts = 0;
  int top_k = 0;
  int shared_width = 0;  ///< width of all shared experts together, 0: none
};

enum class GateKind {
  kSoftmaxTopK,       ///< softmax over all experts, the top_k largest
  kSigmoidGroupTopK,  ///< sigmoid + bias, best groups by their two best, top_k in them
                      ///< (DeepSeek-V3)
};

struct GateSpec {
  GateKind kind = GateKind::kSoftmaxTopK;
  int groups = 1;             ///< kSigmoidGroupTopK: groups of consecutive experts
  int groups_kept = 1;        ///< kSigmoidGroupTopK: groups a token may use
  bool renormalise = false;   ///< weights of a token sum to scale
  float scale = 1.0F;         ///< factor on every weight
  float aux_loss_factor = 0;  ///< alpha of the auxiliary loss
  float z_loss_factor = 0;    ///< beta of the z-loss, kSoftmaxTopK only
};

enum class Overflow { kNone, kDrop, kNextBest };

enum class OverflowScope {
  kRank,   ///< an expert accepts C assignments of each source rank
  kGroup,  ///< an expert accepts C assignments of all ranks, ranks in order; not with kNextBest
};

struct CapacityRule {
  Overflow overflow = Overflow::kNone;
  double factor = 1.0;  ///< C = ceil(factor * tokens * top_k / num_experts), at least 1
  OverflowScope scope = OverflowScope::kRank;
};

enum class Precision {
  kBf16,
  kFp8,  ///< forward only: dispatch, gate+up and down in E4M3 with block scales
};

struct LayerSpec {
  LayerShape shape;
  GateSpec gate;
  CapacityRule capacity;
  Precision precision = Precision::kBf16;
  int ranks = 1;  ///< size of the expert-parallel group; divides num_experts
  /// Slot of every expert, slots in rank order, shape.num_experts / ranks a rank; empty: expert e
  /// in slot e.
  std::vector<std::int32_t> slot_of_expert;

  [[nodiscard]] int slots_per_rank() const { return shape.num_experts / ranks; }
  [[nodiscard]] std::int32_t slot_of(int expert) const {
    return slot_of_expert.empty() ? expert : slot_of_expert[static_cast<std::size_t>(expert)];
  }
};

/// Throws std::invalid_argument naming the first field that no layer can have.
void check_spec(const LayerSpec& spec);

/// Assignments an expert accepts a scope of `tokens` tokens, as the simulator counts them:
///   C = ceil(factor * tokens * top_k / num_experts), at least 1 for any tokens
/// and a product within 1e-12 of a whole number is that number.
/// Checked by: capacity_agreement_test, against the simulator's own.
[[nodiscard]] std::int64_t expert_capacity(double factor,
                                           std::int64_t tokens,
                                           int top_k,
                                           int num_experts);

}  // namespace moesim::gpu_ref
