// SPDX-License-Identifier: Apache-2.0
// divert_overflow: see placing.hpp. An assignment's entry says where it stands: an expert (kept),
// an expert + kWaiting (asks this round), kOverflow (refused this round), -1 (dropped).
#include "gpu_ref/ops/placing.hpp"
#include "gpu_ref/ops/topk_common.cuh"

namespace moesim::gpu_ref {
namespace {

constexpr std::int32_t kWaiting = 1 << 20;
constexpr std::int32_t kOverflow = -2;
constexpr std::int32_t kDropped = -1;
constexpr int kThreads = kMostExperts;  ///< one thread an expert
constexpr int kBlockWarps = kThreads / kWarp;

/// Every assignment waits, and its token has tried it.
__device__ void start(std::int32_t* experts, std::uint32_t* tried, const TopkShape& shape) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (std::int64_t t = threadIdx.x / kWarp; t < shape.num_tokens; t += kBlockWarps) {
    unsigned mask = 0;
    for (int k = 0; k < shape.top_k; ++k) {
      const std::int32_t expert = experts[t * shape.top_k + k];
      mask = expert >= 0 ? with_taken(mask, expert, lane) : mask;
    }
    tried[t * kWarp + lane] = mask;
    __syncwarp();
    if (lane < shape.top_k && experts[t * shape.top_k + lane] >= 0) {
      experts[t * shape.top_k + lane] += kWaiting;
    }
  }
}

/// Refused assignments ask the next expert. Returns whether one of this warp's does.
__device__ bool ask_next(std::int32_t* experts,
                         const float* choice,
                         std::uint32_t* tried,
                         const TopkShape& shape) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  bool any = false;
  for (std::int64_t t = threadIdx.x / kWarp; t < shape.num_tokens; t += kBlockWarps) {
    unsigned mask = tried[t * kWarp + lane];
    for (int k = 0; k < shape.top_k; ++k) {
      if (experts[t * shape.top_k + k] != kOverflow) {
        continue;
      }
      const Ranked next = warp_best(choice + t * shape.num_experts, shape.num_experts, mask, lane);
      const bool found = next.index < shape.num_experts && next.value > -INFINITY;
      mask = found ? with_taken(mask, next.index, lane) : mask;
      any = any || found;
      __syncwarp();
      if (lane == 0) {
        experts[t * shape.top_k + k] = found ? next.index + kWaiting : kDropped;
      }
    }
    tried[t * kWarp + lane] = mask;
  }
  return any;
}

__global__ void __launch_bounds__(kThreads) divert_overflow_kernel(std::int32_t* experts,
                                                                   const float* choice,
                                                                   std::uint32_t* tried,
                                                                   std::int64_t capacity,
                                                                   TopkShape shape) {
  start(experts, tried, shape);
  __syncthreads();
  const auto mine = static_cast<std::int32_t>(threadIdx.x) + kWaiting;
  const std::int64_t assignments = shape.num_tokens * shape.top_k;
  std::int64_t taken = 0;
  bool go_on = true;
  while (go_on) {
    for (std::int64_t i = 0; i < assignments; ++i) {
      if (experts[i] == mine) {
        experts[i] = taken < capacity ? mine - kWaiting : kOverflow;
        taken += taken < capacity ? 1 : 0;
      }
    }
    __syncthreads();
    const bool any = ask_next(experts, choice, tried, shape);
    go_on = __syncthreads_or(any ? 1 : 0) != 0;
  }
}

}  // namespace

void divert_overflow(std::int32_t* experts,
                     const float* choice,
                     std::uint32_t* tried,
                     std::int64_t capacity,
                     const TopkShape& shape,
                     StreamHandle stream) {
  check_topk_shape("divert_overflow", shape);
  if (capacity < 1) {
    throw std::invalid_argument("divert_overflow: capacity is not positive");
  }
  if (shape.num_tokens == 0) {
    return;
  }
  launch(divert_overflow_kernel, {1, kThreads}, stream, experts, choice, tried, capacity, shape);
}

}  // namespace moesim::gpu_ref
