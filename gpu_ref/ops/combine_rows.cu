// SPDX-License-Identifier: Apache-2.0
// combine_rows: see combine.hpp.
#include <stdexcept>

#include "gpu_ref/device/launch.cuh"
#include "gpu_ref/device/numbers.cuh"
#include "gpu_ref/ops/combine.hpp"
#include "gpu_ref/spec.hpp"

namespace moesim::gpu_ref {
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads)
    combine_rows_kernel(CombineInputs in, Bf16* out, int top_k, int hidden) {
  __shared__ std::int32_t sources[kMostTopK];
  __shared__ float weights[kMostTopK];
  const auto token = static_cast<std::int64_t>(blockIdx.x);
  const int thread = static_cast<int>(threadIdx.x);
  if (thread < top_k) {
    sources[thread] = in.row_of_assignment[token * top_k + thread];
    weights[thread] = in.weights != nullptr ? in.weights[token * top_k + thread] : 1.0F;
  }
  __syncthreads();
  for (int h = thread * kVector; h < hidden; h += kThreads * kVector) {
    Float8 sum{};
    if (in.addend != nullptr) {
      sum = load8(in.addend + token * hidden + h);
    }
#pragma unroll 4
    for (int k = 0; k < top_k; ++k) {
      if (sources[k] >= 0) {
        const Float8 row = load8(in.rows + static_cast<std::int64_t>(sources[k]) * hidden + h);
        for (int i = 0; i < kVector; ++i) {
          sum.at[i] += weights[k] * row.at[i];
        }
      }
    }
    store8(out + token * hidden + h, sum);
  }
}

}  // namespace

void combine_rows(const CombineInputs& in,
                  Bf16* out,
                  const CombineShape& shape,
                  StreamHandle stream) {
  if (shape.hidden < kVector || shape.hidden % kVector != 0) {
    throw std::invalid_argument("combine_rows: hidden is not a positive multiple of 8");
  }
  if (shape.top_k < 1 || shape.top_k > kMostTopK) {
    throw std::invalid_argument("combine_rows: top_k is not in [1, 32]");
  }
  if (shape.num_tokens == 0) {
    return;
  }
  launch(combine_rows_kernel,
         {shape.num_tokens, kThreads},
         stream,
         in,
         out,
         shape.top_k,
         shape.hidden);
}

}  // namespace moesim::gpu_ref
