// SPDX-License-Identifier: Apache-2.0
// count_assignments and place_assignments: see placing.hpp. A chunk of assignments lies in shared
// memory and every thread walks it in order for its own experts: stable, without atomics.
#include "gpu_ref/ops/placing.hpp"
#include "gpu_ref/ops/topk_common.cuh"

namespace moesim::gpu_ref {
namespace {

constexpr int kThreads = 256;
static_assert(kChunkAssignments % kThreads == 0);

/// The chunk's experts, -1 behind the last assignment.
__device__ void load_chunk(const std::int32_t* experts,
                           std::int64_t assignments,
                           std::int32_t* chunk) {
  const std::int64_t begin = static_cast<std::int64_t>(blockIdx.x) * kChunkAssignments;
  for (int i = static_cast<int>(threadIdx.x); i < kChunkAssignments; i += kThreads) {
    chunk[i] = begin + i < assignments ? experts[begin + i] : -1;
  }
  __syncthreads();
}

__global__ void count_chunk_kernel(const std::int32_t* experts,
                                   TopkShape shape,
                                   std::int32_t* chunk_counts) {
  __shared__ std::int32_t chunk[kChunkAssignments];
  load_chunk(experts, shape.num_tokens * shape.top_k, chunk);
  for (int e = static_cast<int>(threadIdx.x); e < shape.num_experts; e += kThreads) {
    std::int32_t count = 0;
    for (int i = 0; i < kChunkAssignments; ++i) {
      count += chunk[i] == e ? 1 : 0;
    }
    chunk_counts[static_cast<std::int64_t>(blockIdx.x) * shape.num_experts + e] = count;
  }
}

/// Counts of chunks become assignments before each chunk.
__global__ void scan_chunks_kernel(std::int64_t chunks,
                                   int num_experts,
                                   std::int32_t* chunk_begins,
                                   std::int32_t* counts) {
  const int e = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  if (e >= num_experts) {
    return;
  }
  std::int32_t before = 0;
  for (std::int64_t c = 0; c < chunks; ++c) {
    const std::int32_t count = chunk_begins[c * num_experts + e];
    chunk_begins[c * num_experts + e] = before;
    before += count;
  }
  counts[e] = before;
}

__global__ void place_chunk_kernel(PlacingInputs in, TopkShape shape, std::int32_t* rows) {
  __shared__ std::int32_t chunk[kChunkAssignments];
  const std::int64_t assignments = shape.num_tokens * shape.top_k;
  load_chunk(in.experts, assignments, chunk);
  const std::int64_t begin = static_cast<std::int64_t>(blockIdx.x) * kChunkAssignments;
  for (int i = static_cast<int>(threadIdx.x); i < kChunkAssignments; i += kThreads) {
    if (begin + i < assignments && chunk[i] < 0) {
      rows[begin + i] = -1;
    }
  }
  for (int e = static_cast<int>(threadIdx.x); e < shape.num_experts; e += kThreads) {
    std::int32_t position =
        in.chunk_begins[static_cast<std::int64_t>(blockIdx.x) * shape.num_experts + e];
    const std::int32_t quota = in.quota[e];
    const std::int32_t row_begin = in.row_begin[e];
    for (int i = 0; i < kChunkAssignments; ++i) {
      if (chunk[i] == e) {
        rows[begin + i] = position < quota ? row_begin + position : -1;
        ++position;
      }
    }
  }
}

}  // namespace

void count_assignments(const std::int32_t* experts,
                       const TopkShape& shape,
                       std::int32_t* chunk_begins,
                       std::int32_t* counts,
                       StreamHandle stream) {
  check_topk_shape("count_assignments", shape);
  const std::int64_t chunks = num_chunks(shape.num_tokens * shape.top_k);
  if (chunks > 0) {
    launch(count_chunk_kernel, {chunks, kThreads}, stream, experts, shape, chunk_begins);
  }
  launch(scan_chunks_kernel,
         {(shape.num_experts + kThreads - 1) / kThreads, kThreads},
         stream,
         chunks,
         shape.num_experts,
         chunk_begins,
         counts);
}

void place_assignments(const PlacingInputs& in,
                       const TopkShape& shape,
                       std::int32_t* row_of_assignment,
                       StreamHandle stream) {
  check_topk_shape("place_assignments", shape);
  const std::int64_t chunks = num_chunks(shape.num_tokens * shape.top_k);
  if (chunks == 0) {
    return;
  }
  launch(place_chunk_kernel, {chunks, kThreads}, stream, in, shape, row_of_assignment);
}

}  // namespace moesim::gpu_ref
