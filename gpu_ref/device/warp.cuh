// SPDX-License-Identifier: Apache-2.0
// Sums, maxima and choices over the 32 lanes of a warp. All lanes call, all get the result.
#pragma once

#include <cuda_runtime.h>

#include <cmath>

namespace moesim::gpu_ref {

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffU;

__device__ inline float warp_sum(float value) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    value += __shfl_xor_sync(kAllLanes, value, distance);
  }
  return value;
}

__device__ inline float warp_max(float value) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, distance));
  }
  return value;
}

/// A value and where it stands.
struct Ranked {
  float value;
  int index;
};

/// Larger value first, then lower index.
__device__ inline bool is_before(const Ranked& a, const Ranked& b) {
  return a.value > b.value || (a.value == b.value && a.index < b.index);
}

__device__ inline Ranked warp_first(Ranked mine) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    const Ranked other{__shfl_xor_sync(kAllLanes, mine.value, distance),
                       __shfl_xor_sync(kAllLanes, mine.index, distance)};
    mine = is_before(other, mine) ? other : mine;
  }
  return mine;
}

/// The best of values[0, count) that is not taken; lane l looks at l, l + 32, ..., and bit j of its
/// `taken` says that l + 32 j is taken. NaN counts as -infinity. index = count if all are taken.
__device__ inline Ranked warp_best(const float* values, int count, unsigned taken, int lane) {
  Ranked best{-INFINITY, count};
  for (int j = 0, i = lane; i < count; ++j, i += kWarp) {
    if ((taken >> static_cast<unsigned>(j) & 1U) == 0U) {
      const float value = values[i];
      const Ranked mine{value == value ? value : -INFINITY, i};
      best = is_before(mine, best) ? mine : best;
    }
  }
  return warp_first(best);
}

/// `taken` with index i marked by the lane that looks at it.
__device__ inline unsigned with_taken(unsigned taken, int index, int lane) {
  return index % kWarp == lane ? taken | 1U << static_cast<unsigned>(index / kWarp) : taken;
}

}  // namespace moesim::gpu_ref
