// SPDX-License-Identifier: Apache-2.0
// spread_rows: see rows.hpp.
#include <stdexcept>

#include "gpu_ref/device/launch.cuh"
#include "gpu_ref/ops/rows.hpp"
#include "gpu_ref/spec.hpp"

namespace moesim::gpu_ref {
namespace {

constexpr int kThreads = 256;

/// Vector: one access, 16 or 4 bytes. A thread reads its part of the token once, writes it top_k
/// times.
template <typename Vector>
__global__ void __launch_bounds__(kThreads) spread_rows_kernel(
    const Vector* x, const std::int32_t* row_of_assignment, Vector* rows, int top_k, int vectors) {
  __shared__ std::int32_t targets[kMostTopK];
  const auto token = static_cast<std::int64_t>(blockIdx.x);
  const int thread = static_cast<int>(threadIdx.x);
  if (thread < top_k) {
    targets[thread] = row_of_assignment[token * top_k + thread];
  }
  __syncthreads();
  for (int i = thread; i < vectors; i += kThreads) {
    const Vector value = x[token * vectors + i];
    for (int k = 0; k < top_k; ++k) {
      if (targets[k] >= 0) {
        rows[static_cast<std::int64_t>(targets[k]) * vectors + i] = value;
      }
    }
  }
}

template <typename Vector>
void spread(const void* x,
            const std::int32_t* row_of_assignment,
            void* rows,
            const SpreadShape& shape,
            StreamHandle stream) {
  launch(spread_rows_kernel<Vector>,
         {shape.num_tokens, kThreads},
         stream,
         static_cast<const Vector*>(x),
         row_of_assignment,
         static_cast<Vector*>(rows),
         shape.top_k,
         shape.row_bytes / static_cast<int>(sizeof(Vector)));
}

}  // namespace

void spread_rows(const void* x,
                 const std::int32_t* row_of_assignment,
                 void* rows,
                 const SpreadShape& shape,
                 StreamHandle stream) {
  if (shape.row_bytes < 4 || shape.row_bytes % 4 != 0) {
    throw std::invalid_argument("spread_rows: row_bytes is not a positive multiple of 4");
  }
  if (shape.top_k < 1 || shape.top_k > kMostTopK) {
    throw std::invalid_argument("spread_rows: top_k is not in [1, 32]");
  }
  if (shape.num_tokens == 0) {
    return;
  }
  if (shape.row_bytes % static_cast<int>(sizeof(uint4)) == 0) {
    spread<uint4>(x, row_of_assignment, rows, shape, stream);
  } else {
    spread<unsigned>(x, row_of_assignment, rows, shape, stream);
  }
}

}  // namespace moesim::gpu_ref
