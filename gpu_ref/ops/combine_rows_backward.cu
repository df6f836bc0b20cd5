// SPDX-License-Identifier: Apache-2.0
// combine_rows_backward: see combine.hpp.
#include <stdexcept>

#include "gpu_ref/device/launch.cuh"
#include "gpu_ref/device/numbers.cuh"
#include "gpu_ref/device/warp.cuh"
#include "gpu_ref/ops/combine.hpp"
#include "gpu_ref/spec.hpp"

namespace moesim::gpu_ref {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;

/// d_rows of one assignment, and this thread's part of its dot product.
__device__ float backward_row(
    const Bf16* d_out, const Bf16* row, Bf16* d_row, int hidden, float weight) {
  float dot = 0.0F;
  for (int h = static_cast<int>(threadIdx.x) * kVector; h < hidden; h += kThreads * kVector) {
    Float8 slope = load8(d_out + h);
    const Float8 value = load8(row + h);
    for (int i = 0; i < kVector; ++i) {
      dot += slope.at[i] * value.at[i];
      slope.at[i] *= weight;
    }
    store8(d_row + h, slope);
  }
  return dot;
}

__global__ void __launch_bounds__(kThreads) combine_rows_backward_kernel(
    const Bf16* d_out, CombineInputs in, Bf16* d_rows, float* d_weights, int top_k, int hidden) {
  __shared__ std::int32_t sources[kMostTopK];
  __shared__ float weights[kMostTopK];
  __shared__ float dots[kMostTopK][kWarps];
  const auto token = static_cast<std::int64_t>(blockIdx.x);
  const int thread = static_cast<int>(threadIdx.x);
  if (thread < top_k) {
    sources[thread] = in.row_of_assignment[token * top_k + thread];
    weights[thread] = in.weights[token * top_k + thread];
  }
  __syncthreads();
  for (int k = 0; k < top_k; ++k) {
    const std::int64_t begin = static_cast<std::int64_t>(sources[k]) * hidden;
    float dot = 0.0F;
    if (sources[k] >= 0) {
      dot =
          backward_row(d_out + token * hidden, in.rows + begin, d_rows + begin, hidden, weights[k]);
    }
    dot = warp_sum(dot);
    if (thread % kWarp == 0) {
      dots[k][thread / kWarp] = dot;
    }
  }
  __syncthreads();
  if (thread < top_k) {
    float sum = 0.0F;
    for (int w = 0; w < kWarps; ++w) {
      sum += dots[thread][w];
    }
    d_weights[token * top_k + thread] = sum;
  }
}

}  // namespace

void combine_rows_backward(const Bf16* d_out,
                           const CombineInputs& in,
                           Bf16* d_rows,
                           float* d_weights,
                           const CombineShape& shape,
                           StreamHandle stream) {
  if (shape.hidden < kVector || shape.hidden % kVector != 0) {
    throw std::invalid_argument("combine_rows_backward: hidden is not a positive multiple of 8");
  }
  if (shape.top_k < 1 || shape.top_k > kMostTopK) {
    throw std::invalid_argument("combine_rows_backward: top_k is not in [1, 32]");
  }
  if (shape.num_tokens == 0) {
    return;
  }
  if (in.weights == nullptr) {
    throw std::invalid_argument("combine_rows_backward: weights are missing");
  }
  launch(combine_rows_backward_kernel,
         {shape.num_tokens, kThreads},
         stream,
         d_out,
         in,
         d_rows,
         d_weights,
         shape.top_k,
         shape.hidden);
}

}  // namespace moesim::gpu_ref
