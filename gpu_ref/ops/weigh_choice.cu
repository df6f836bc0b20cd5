// SPDX-License-Identifier: Apache-2.0
// weigh_choice: see placing.hpp.
#include "gpu_ref/ops/placing.hpp"
#include "gpu_ref/ops/topk_common.cuh"

namespace moesim::gpu_ref {
namespace {

__global__ void weigh_choice_kernel(const std::int32_t* experts,
                                    const float* scores,
                                    TopkShape shape,
                                    float scale,
                                    bool renormalise,
                                    float* weights) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const std::int64_t token =
      static_cast<std::int64_t>(blockIdx.x) * kGateWarps + threadIdx.x / kWarp;
  if (token >= shape.num_tokens) {
    return;
  }
  const std::int64_t slot = token * shape.top_k + lane;
  const int expert = lane < shape.top_k ? experts[slot] : -1;
  const float score = expert >= 0 ? scores[token * shape.num_experts + expert] : 0.0F;
  const float sum = warp_sum(score);
  if (lane < shape.top_k) {
    weights[slot] = renormalise ? (sum > 0.0F ? scale * score / sum : 0.0F) : scale * score;
  }
}

}  // namespace

void weigh_choice(const std::int32_t* experts,
                  const float* scores,
                  const GateSpec& gate,
                  const TopkShape& shape,
                  float* weights,
                  StreamHandle stream) {
  check_topk_shape("weigh_choice", shape);
  if (shape.num_tokens == 0) {
    return;
  }
  launch(weigh_choice_kernel,
         gate_launch(shape.num_tokens),
         stream,
         experts,
         scores,
         shape,
         gate.scale,
         gate.renormalise,
         weights);
}

}  // namespace moesim::gpu_ref
