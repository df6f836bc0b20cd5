// SPDX-License-Identifier: Apache-2.0
// gate_logits_backward: see topk.hpp.
#include "gpu_ref/device/numbers.cuh"
#include "gpu_ref/ops/topk_common.cuh"

namespace moesim::gpu_ref {
namespace {

struct GateFactors {
  float scale;
  bool renormalise;
  bool softmax;
  float auxiliary;  ///< alpha * E / (T * T * k), times counts[e]: d loss / d p[t, e]
  float z;          ///< 2 * beta / T, times log-sum-exp and p: d loss / d logit
};

/// Adds d loss / d score through the weights of the token's experts to d[num_experts].
__device__ void add_weight_gradient(const GateGradientInputs& in,
                                    std::int64_t token,
                                    const TopkShape& shape,
                                    const GateFactors& factors,
                                    float* d) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const std::int64_t slot = token * shape.top_k + lane;
  const int expert = lane < shape.top_k ? in.experts[slot] : -1;
  const float score = expert >= 0 ? in.scores[token * shape.num_experts + expert] : 0.0F;
  const float d_weight = expert >= 0 ? in.d_weights[slot] : 0.0F;
  const float sum = warp_sum(score);
  const float through_sum = warp_sum(d_weight * score);
  if (expert < 0) {
    return;
  }
  if (!factors.renormalise) {
    d[expert] += factors.scale * d_weight;
  } else if (sum > 0.0F) {
    d[expert] += factors.scale / sum * (d_weight - through_sum / sum);
  }
}

/// Adds d auxiliary loss / d score.
__device__ void add_auxiliary_gradient(const GateGradientInputs& in,
                                       std::int64_t token,
                                       const TopkShape& shape,
                                       const GateFactors& factors,
                                       float* d) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const float* scores = in.scores + token * shape.num_experts;
  const float norm = factors.softmax ? 1.0F : in.normaliser[token];
  float mean = 0.0F;  // of the slope, weighted by p: what normalising takes off
  if (!factors.softmax) {
    for (int e = lane; e < shape.num_experts; e += kWarp) {
      mean += factors.auxiliary * static_cast<float>(in.counts[e]) * scores[e] / norm;
    }
    mean = warp_sum(mean);
  }
  for (int e = lane; e < shape.num_experts; e += kWarp) {
    d[e] += (factors.auxiliary * static_cast<float>(in.counts[e]) - mean) / norm;
  }
}

__global__ void gate_logits_backward_kernel(GateGradientInputs in,
                                            TopkShape shape,
                                            GateFactors factors,
                                            Bf16* d_logits) {
  __shared__ float d_rows[kGateWarps][kMostExperts];
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const std::int64_t token = static_cast<std::int64_t>(blockIdx.x) * kGateWarps + warp;
  if (token >= shape.num_tokens) {
    return;
  }
  float* d = d_rows[warp];
  for (int e = lane; e < shape.num_experts; e += kWarp) {
    d[e] = 0.0F;
  }
  __syncwarp();
  if (in.d_weights != nullptr) {
    add_weight_gradient(in, token, shape, factors, d);
  }
  __syncwarp();
  if (in.counts != nullptr) {
    add_auxiliary_gradient(in, token, shape, factors, d);
  }
  __syncwarp();
  const float* scores = in.scores + token * shape.num_experts;
  float mean = 0.0F;
  for (int e = lane; e < shape.num_experts; e += kWarp) {
    mean += d[e] * scores[e];
  }
  mean = warp_sum(mean);
  const float z = factors.z != 0.0F ? factors.z * in.normaliser[token] : 0.0F;
  for (int e = lane; e < shape.num_experts; e += kWarp) {
    const float p = scores[e];
    const float slope = factors.softmax ? p * (d[e] - mean + z) : d[e] * p * (1.0F - p);
    d_logits[token * shape.num_experts + e].bits = bf16_bits(slope);
  }
}

}  // namespace

void gate_logits_backward(const GateGradientInputs& in,
                          const GateSpec& gate,
                          const TopkShape& shape,
                          Bf16* d_logits,
                          StreamHandle stream) {
  check_topk_shape("gate_logits_backward", shape);
  if (shape.num_tokens == 0) {
    return;
  }
  const bool softmax = gate.kind == GateKind::kSoftmaxTopK;
  const auto tokens = static_cast<double>(shape.num_tokens);
  const double auxiliary = static_cast<double>(gate.aux_loss_factor) * shape.num_experts /
                           (tokens * tokens * shape.top_k);
  const double z = softmax ? 2.0 * static_cast<double>(gate.z_loss_factor) / tokens : 0.0;
  launch(gate_logits_backward_kernel,
         gate_launch(shape.num_tokens),
         stream,
         in,
         shape,
         GateFactors{gate.scale,
                     gate.renormalise,
                     softmax,
                     static_cast<float>(auxiliary),
                     static_cast<float>(z)},
         d_logits);
}

}  // namespace moesim::gpu_ref
