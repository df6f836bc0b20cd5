// SPDX-License-Identifier: Apache-2.0
// The gate in double precision: choice, weights, losses, overflow, gradients. Definitions:
// ops/topk.hpp, ops/losses.hpp, ops/placing.hpp.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "gpu_ref/oracle/matrix.hpp"
#include "gpu_ref/spec.hpp"

namespace moesim::gpu_ref::oracle {

/// What a gate decides for its tokens.
struct Choice {
  int top_k = 0;
  std::vector<std::int32_t> experts;  ///< [tokens, top_k], -1: none (diverted and dropped)
  std::vector<double> weights;        ///< [tokens, top_k]
  Matrix scores;                      ///< [tokens, experts]
  Matrix choice;                      ///< [tokens, experts] what experts are ranked by
  std::vector<double> normaliser;     ///< [tokens] log-sum-exp, or sum of the scores
};

/// bias: [experts] or empty.
[[nodiscard]] Choice choose(const Matrix& logits,
                            std::span<const double> bias,
                            const GateSpec& gate,
                            int top_k);

/// choice.weights anew from choice.experts and choice.scores.
void weigh(Choice& choice, const GateSpec& gate);

/// Assignments per expert.
[[nodiscard]] std::vector<std::int32_t> counts_of(std::span<const std::int32_t> experts,
                                                  int num_experts);

struct Losses {
  double auxiliary = 0;
  double z = 0;
};
[[nodiscard]] Losses losses_of(const Choice& choice,
                               std::span<const std::int32_t> counts,
                               const GateSpec& gate);

/// d_logits [tokens, experts] of (sum of d_weights * weights) + losses. d_weights: [tokens *
/// top_k], or empty: no gradient through the weights.
[[nodiscard]] Matrix logits_backward(const Choice& choice,
                                     std::span<const double> d_weights,
                                     std::span<const std::int32_t> counts,
                                     const GateSpec& gate);

/// Next-best expert in rounds (divert_overflow); experts changed in place.
void divert(std::vector<std::int32_t>& experts,
            const Matrix& choice,
            int top_k,
            std::int64_t capacity);

/// [tokens * top_k] 1 where an assignment is kept: token order, token's slots in theirs, capacity
/// of the spec over each scope. token_begin: [ranks + 1].
[[nodiscard]] std::vector<std::uint8_t> kept(const LayerSpec& spec,
                                             std::span<const std::int32_t> experts,
                                             std::span<const std::int32_t> token_begin);

}  // namespace moesim::gpu_ref::oracle
