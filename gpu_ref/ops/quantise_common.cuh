// SPDX-License-Identifier: Apache-2.0
// How a value becomes FP8 under a scale.
#pragma once

#include <cuda_fp8.h>

#include "gpu_ref/formats.hpp"

namespace moesim::gpu_ref {

/// Scale under which the largest magnitude becomes 448; 1 for a block of zeros.
__device__ inline float scale_of_largest(float largest) {
  return largest > 0.0F ? largest / kLargestFp8 : 1.0F;
}

/// E4M3 bits of value / scale, nearest even, saturated.
__device__ inline unsigned fp8_bits(float value, float scale) {
  return __nv_cvt_float_to_fp8(value / scale, __NV_SATFINITE, __NV_E4M3);
}

}  // namespace moesim::gpu_ref
