// SPDX-License-Identifier: Apache-2.0
// What both gates share: one warp a token, the row of choices in shared memory.
#pragma once

#include <string>

#include "gpu_ref/device/launch.cuh"
#include "gpu_ref/device/warp.cuh"
#include "gpu_ref/ops/topk.hpp"

namespace moesim::gpu_ref {

constexpr int kGateWarps = 4;  ///< tokens a block: 4 rows of kMostExperts floats in shared memory

inline LaunchShape gate_launch(std::int64_t num_tokens) {
  return {(num_tokens + kGateWarps - 1) / kGateWarps, kGateWarps * kWarp};
}

/// Throws std::invalid_argument "WHO: ..." beyond what the kernels can do.
inline void check_topk_shape(const char* who, const TopkShape& shape) {
  const auto fail = [who](const char* what) {
    throw std::invalid_argument(std::string(who) + ": " + what);
  };
  if (shape.num_tokens < 0) {
    fail("num_tokens is negative");
  }
  if (shape.num_experts < 1 || shape.num_experts > kMostExperts) {
    fail("num_experts is not in [1, 1024]");
  }
  if (shape.top_k < 1 || shape.top_k > kMostTopK || shape.top_k > shape.num_experts) {
    fail("top_k is not in [1, 32] or more than num_experts");
  }
}

/// Writes the top_k of `choice` [num_experts] and their weights from `scores`, for one token. Lane
/// j keeps the j-th pick.
__device__ inline void write_choice(const float* choice,
                                    const float* scores,
                                    const TopkShape& shape,
                                    std::int32_t* experts,
                                    float* weights,
                                    float scale,
                                    bool renormalise) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  unsigned taken = 0;
  int mine = 0;
  float sum = 0.0F;
  for (int j = 0; j < shape.top_k; ++j) {
    const int pick = warp_best(choice, shape.num_experts, taken, lane).index;
    taken = with_taken(taken, pick, lane);
    sum += scores[pick];
    mine = lane == j ? pick : mine;
  }
  if (lane < shape.top_k) {
    const float score = scores[mine];
    experts[lane] = mine;
    weights[lane] = renormalise ? (sum > 0.0F ? scale * score / sum : 0.0F) : scale * score;
  }
}

}  // namespace moesim::gpu_ref
