// SPDX-License-Identifier: Apache-2.0
// The gate's two losses, over the tokens of one rank.
#pragma once

#include <cstdint>

#include "gpu_ref/device/handles.hpp"
#include "gpu_ref/ops/topk.hpp"

namespace moesim::gpu_ref {

/// mean_scores[e] = P_e = 1/T sum_t p[t, e], with p = scores for a softmax gate, and scores divided
/// by normaliser[t], their sum, for a sigmoid gate.
///   scores [num_tokens, num_experts] f32 | normaliser [num_tokens] f32, null for a softmax gate
///   mean_scores [num_experts] f32
/// Sums in a fixed order. Moves 4 T E bytes.
void mean_scores(const float* scores,
                 const float* normaliser,
                 const TopkShape& shape,
                 float* mean_scores,
                 StreamHandle stream);

/// losses[0] = alpha * E * sum_e f_e P_e, f_e = counts[e] / (T k): alpha when balanced;
/// losses[1] = beta / T sum_t normaliser[t]^2, 0 with a null normaliser (log-sum-exp of a softmax
/// gate).
///   mean_scores, counts [num_experts] | normaliser [num_tokens] f32 or null | losses [2] f32
/// Both 0 for zero tokens. One block. Moves 8 E + 4 T bytes.
/// Source: Switch Transformers (arXiv 2101.03961) eq. 4 with f over all top_k assignments; ST-MoE
/// (arXiv 2202.08906) eq. 5.
void gate_losses(const float* mean_scores,
                 const std::int32_t* counts,
                 const float* normaliser,
                 const GateSpec& gate,
                 const TopkShape& shape,
                 float* losses,
                 StreamHandle stream);

}  // namespace moesim::gpu_ref
