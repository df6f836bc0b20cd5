// SPDX-License-Identifier: Apache-2.0
// The whole expert-parallel layer in double precision: all ranks' tokens in one matrix, no
// dispatch, no permutation. What RankLayer and its exchanges must agree with.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "gpu_ref/oracle/experts.hpp"
#include "gpu_ref/oracle/gate.hpp"

namespace moesim::gpu_ref::oracle {

struct LayerWeights {
  Matrix gate;               ///< [experts, hidden]
  std::vector<double> bias;  ///< [experts] or empty
  std::vector<ExpertWeights> experts;
  ExpertWeights shared;  ///< empty without a shared expert
};

struct LayerTokens {
  Matrix x;                               ///< [tokens, hidden]
  std::vector<std::int32_t> token_begin;  ///< [ranks + 1]
  std::vector<std::int32_t> experts;  ///< a given routing [tokens * top_k], or empty: the gate's
  std::vector<double> weights;        ///< of a given routing
};

/// One expert's rows of a pass.
struct ExpertRows {
  std::vector<std::int64_t> assignments;  ///< token * top_k + slot of each row
  ExpertPass pass;
};

struct LayerPass {
  Matrix out;                         ///< [tokens, hidden]
  std::vector<Choice> choices;        ///< by rank
  std::vector<Losses> losses;         ///< by rank
  std::vector<std::int32_t> experts;  ///< [tokens * top_k] after diversion
  std::vector<double> weights;        ///< [tokens * top_k]
  std::vector<std::uint8_t> keep;     ///< [tokens * top_k]
  std::vector<ExpertRows> rows;       ///< by expert
  ExpertPass shared;
};
[[nodiscard]] LayerPass run_layer(const LayerSpec& spec,
                                  const LayerWeights& weights,
                                  const LayerTokens& tokens);

struct LayerGradients {
  Matrix x;                              ///< [tokens, hidden]
  std::vector<Matrix> gate;              ///< by rank, [experts, hidden]: each over its own tokens
  std::vector<ExpertGradients> experts;  ///< by expert, over all ranks' tokens; x empty
  std::vector<ExpertGradients> shared;   ///< by rank, over its own tokens; x empty
};
/// Of sum(d_out * out) + the losses of every rank.
[[nodiscard]] LayerGradients layer_backward(const LayerSpec& spec,
                                            const LayerWeights& weights,
                                            const LayerTokens& tokens,
                                            const LayerPass& pass,
                                            const Matrix& d_out);

}  // namespace moesim::gpu_ref::oracle
