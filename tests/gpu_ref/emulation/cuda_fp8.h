// SPDX-License-Identifier: Apache-2.0
// Stand-in for CUDA's FP8, see cuda_runtime.h.
#pragma once

#include "gpu_ref/formats.hpp"

enum __nv_saturation_t { __NV_NOSAT, __NV_SATFINITE };
enum __nv_fp8_interpretation_t { __NV_E4M3, __NV_E5M2 };
using __nv_fp8_storage_t = unsigned char;

inline __nv_fp8_storage_t __nv_cvt_float_to_fp8(float value,
                                                __nv_saturation_t /*saturation*/,
                                                __nv_fp8_interpretation_t /*kind*/) {
  return moesim::gpu_ref::to_fp8(value).bits;
}
