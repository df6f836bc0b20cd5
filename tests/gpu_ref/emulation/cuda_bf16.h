// SPDX-License-Identifier: Apache-2.0
// Stand-in for CUDA's bf16, see cuda_runtime.h.
#pragma once

#include "gpu_ref/formats.hpp"

struct __nv_bfloat16 {
  unsigned short bits;
};

inline __nv_bfloat16 __float2bfloat16_rn(float value) {
  return {moesim::gpu_ref::to_bf16(value).bits};
}
inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 value) {
  return value.bits;
}
