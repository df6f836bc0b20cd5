// SPDX-License-Identifier: Apache-2.0
// From logits to experts and weights, and back.
#pragma once

#include <cstdint>

#include "gpu_ref/device/handles.hpp"
#include "gpu_ref/formats.hpp"
#include "gpu_ref/spec.hpp"

namespace moesim::gpu_ref {

struct TopkShape {
  std::int64_t num_tokens = 0;
  int num_experts = 0;  ///< at most kMostExperts
  int top_k = 0;        ///< at most kMostTopK and num_experts
};

/// What a gate decides; all on the device, none null but where said.
struct TopkOutputs {
  std::int32_t* experts =
      nullptr;               ///< [num_tokens, top_k] distinct, best first; ties: lower expert
  float* weights = nullptr;  ///< [num_tokens, top_k]
  float* scores = nullptr;   ///< [num_tokens, num_experts] softmax, or sigmoid of the logits
  float* choice = nullptr;   ///< [num_tokens, num_experts] what experts are ranked by: the logits,
                             ///< or scores + bias with -infinity outside of the kept groups
  float* normaliser = nullptr;  ///< [num_tokens] log-sum-exp of the logits (softmax), sum of the
                                ///< scores (sigmoid)
};

/// score = softmax(logits); the top_k experts of largest logit; weight = score, divided by the sum
/// over the token's choice if gate.renormalise, times gate.scale.
///   logits [num_tokens, num_experts] f32
/// One warp a token, f32. Moves 4 T (3 E + 2 k + 1) bytes.
void softmax_topk(const float* logits,
                  const GateSpec& gate,
                  const TopkShape& shape,
                  const TopkOutputs& out,
                  StreamHandle stream);

/// score = sigmoid(logits); choice = score + bias; a group counts the sum of its two largest
/// choices (of its one expert, if it has one); the groups_kept largest groups stay; the top_k
/// experts of largest choice in them; weight = score (without bias), divided by the sum over the
/// token's choice if gate.renormalise, times gate.scale.
///   logits [num_tokens, num_experts] f32 | bias [num_experts] f32, may be null (zero)
/// groups divides num_experts, groups_kept * (num_experts / groups) >= top_k.
/// One warp a token, f32. Moves 4 T (3 E + 2 k) bytes (+ the bias).
/// Source: DeepSeek-V3 technical report (arXiv 2412.19437), section 2.1.2 and its released gate.
void sigmoid_group_topk(const float* logits,
                        const float* bias,
                        const GateSpec& gate,
                        const TopkShape& shape,
                        const TopkOutputs& out,
                        StreamHandle stream);

/// Inputs of the gate's gradient, on the device.
struct GateGradientInputs {
  const std::int32_t* experts = nullptr;  ///< [num_tokens, top_k], < 0: no expert
  const float* d_weights = nullptr;       ///< [num_tokens, top_k], 0 where dropped; null: all 0
  const float* scores = nullptr;          ///< [num_tokens, num_experts]
  const float* normaliser = nullptr;      ///< [num_tokens]
  const std::int32_t* counts = nullptr;   ///< [num_experts] assignments, null without an aux loss
};

/// d_logits [num_tokens, num_experts] bf16: through the weights (renormalised or not), plus the
/// gradients of the auxiliary loss and the z-loss (losses.hpp) with the factors of `gate`. The
/// choice itself has no gradient. One warp a token, f32, rounded to bf16 once. Moves T (6 E + 12 k)
/// bytes.
void gate_logits_backward(const GateGradientInputs& in,
                          const GateSpec& gate,
                          const TopkShape& shape,
                          Bf16* d_logits,
                          StreamHandle stream);

}  // namespace moesim::gpu_ref
