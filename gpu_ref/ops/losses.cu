// SPDX-License-Identifier: Apache-2.0
// mean_scores and gate_losses: see losses.hpp.
#include "gpu_ref/ops/losses.hpp"
#include "gpu_ref/ops/topk_common.cuh"

namespace moesim::gpu_ref {
namespace {

constexpr int kTokenLanes = 32;  ///< threads that share the tokens of one expert
constexpr int kThreads = 1024;

/// Block b holds experts [32 b, 32 b + 32); thread (i, j) sums tokens i, i + 32, ... of expert j.
__global__ void mean_scores_kernel(const float* scores,
                                   const float* normaliser,
                                   TopkShape shape,
                                   float* means) {
  __shared__ float partial[kTokenLanes][kWarp];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int row = static_cast<int>(threadIdx.x) / kWarp;
  const int expert = static_cast<int>(blockIdx.x) * kWarp + lane;
  float sum = 0.0F;
  if (expert < shape.num_experts) {
    for (std::int64_t t = row; t < shape.num_tokens; t += kTokenLanes) {
      const float score = scores[t * shape.num_experts + expert];
      sum += normaliser != nullptr ? score / normaliser[t] : score;
    }
  }
  partial[row][lane] = sum;
  __syncthreads();
  if (row == 0 && expert < shape.num_experts) {
    float total = 0.0F;
    for (int i = 0; i < kTokenLanes; ++i) {
      total += partial[i][lane];
    }
    means[expert] = shape.num_tokens > 0 ? total / static_cast<float>(shape.num_tokens) : 0.0F;
  }
}

/// Sum over the block, in a fixed order; thread 0 gets it.
__device__ float block_sum(float value, float* partial) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  value = warp_sum(value);
  if (lane == 0) {
    partial[warp] = value;
  }
  __syncthreads();
  value = warp == 0 ? warp_sum(partial[lane]) : 0.0F;
  __syncthreads();
  return value;
}

__global__ void gate_losses_kernel(const float* means,
                                   const std::int32_t* counts,
                                   const float* normaliser,
                                   TopkShape shape,
                                   float auxiliary,
                                   float z,
                                   float* losses) {
  __shared__ float partial[kThreads / kWarp];
  const int thread = static_cast<int>(threadIdx.x);
  float balance = 0.0F;
  for (int e = thread; e < shape.num_experts; e += kThreads) {
    balance += static_cast<float>(counts[e]) * means[e];
  }
  balance = block_sum(balance, partial);
  float squares = 0.0F;
  if (normaliser != nullptr) {
    for (std::int64_t t = thread; t < shape.num_tokens; t += kThreads) {
      squares += normaliser[t] * normaliser[t];
    }
  }
  squares = block_sum(squares, partial);
  if (thread == 0) {
    losses[0] = auxiliary * balance;
    losses[1] = z * squares;
  }
}

}  // namespace

void mean_scores(const float* scores,
                 const float* normaliser,
                 const TopkShape& shape,
                 float* mean_scores,
                 StreamHandle stream) {
  check_topk_shape("mean_scores", shape);
  launch(mean_scores_kernel,
         {(shape.num_experts + kWarp - 1) / kWarp, kTokenLanes * kWarp},
         stream,
         scores,
         normaliser,
         shape,
         mean_scores);
}

void gate_losses(const float* mean_scores,
                 const std::int32_t* counts,
                 const float* normaliser,
                 const GateSpec& gate,
                 const TopkShape& shape,
                 float* losses,
                 StreamHandle stream) {
  check_topk_shape("gate_losses", shape);
  const auto tokens = static_cast<float>(shape.num_tokens);
  const bool any = shape.num_tokens > 0;
  const float auxiliary = any ? gate.aux_loss_factor * static_cast<float>(shape.num_experts) /
                                    (tokens * static_cast<float>(shape.top_k))
                              : 0.0F;
  const float z = any ? gate.z_loss_factor / tokens : 0.0F;
  launch(gate_losses_kernel,
         {1, kThreads},
         stream,
         mean_scores,
         counts,
         normaliser,
         shape,
         auxiliary,
         z,
         losses);
}

}  // namespace moesim::gpu_ref
