// SPDX-License-Identifier: Apache-2.0
// softmax_topk: see topk.hpp.
#include "gpu_ref/ops/topk_common.cuh"

namespace moesim::gpu_ref {
namespace {

__global__ void softmax_topk_kernel(
    const float* logits, TopkShape shape, TopkOutputs out, float scale, bool renormalise) {
  __shared__ float logit_rows[kGateWarps][kMostExperts];
  __shared__ float score_rows[kGateWarps][kMostExperts];
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const std::int64_t token = static_cast<std::int64_t>(blockIdx.x) * kGateWarps + warp;
  if (token >= shape.num_tokens) {
    return;
  }
  float* row = logit_rows[warp];
  float* scores = score_rows[warp];
  const std::int64_t begin = token * shape.num_experts;
  float largest = -INFINITY;
  for (int e = lane; e < shape.num_experts; e += kWarp) {
    row[e] = logits[begin + e];
    largest = fmaxf(largest, row[e]);
  }
  largest = warp_max(largest);
  float sum = 0.0F;
  for (int e = lane; e < shape.num_experts; e += kWarp) {
    sum += expf(row[e] - largest);
  }
  sum = warp_sum(sum);
  for (int e = lane; e < shape.num_experts; e += kWarp) {
    scores[e] = expf(row[e] - largest) / sum;
    out.scores[begin + e] = scores[e];
    out.choice[begin + e] = row[e];
  }
  if (lane == 0) {
    out.normaliser[token] = largest + logf(sum);
  }
  __syncwarp();
  write_choice(row,
               scores,
               shape,
               out.experts + token * shape.top_k,
               out.weights + token * shape.top_k,
               scale,
               renormalise);
}

}  // namespace

void softmax_topk(const float* logits,
                  const GateSpec& gate,
                  const TopkShape& shape,
                  const TopkOutputs& out,
                  StreamHandle stream) {
  check_topk_shape("softmax_topk", shape);
  if (shape.num_tokens == 0) {
    return;
  }
  launch(softmax_topk_kernel,
         gate_launch(shape.num_tokens),
         stream,
         logits,
         shape,
         out,
         gate.scale,
         gate.renormalise);
}

}  // namespace moesim::gpu_ref
