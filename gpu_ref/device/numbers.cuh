// SPDX-License-Identifier: Apache-2.0
// bf16 on the device: eight at a time in 16 bytes, computed with in f32.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include "gpu_ref/formats.hpp"

namespace moesim::gpu_ref {

constexpr int kVector = 8;  ///< bf16 elements in one 16-byte access

struct Float8 {
  float at[kVector];
};

__device__ inline float low_half(unsigned pair) {
  return __uint_as_float(pair << 16U);
}

__device__ inline float high_half(unsigned pair) {
  return __uint_as_float(pair & 0xffff0000U);
}

/// Nearest even, as to_bf16 on the host.
__device__ inline unsigned short bf16_bits(float value) {
  return __bfloat16_as_ushort(__float2bfloat16_rn(value));
}

__device__ inline unsigned pair_bits(float low, float high) {
  return static_cast<unsigned>(bf16_bits(low)) | (static_cast<unsigned>(bf16_bits(high)) << 16U);
}

__device__ inline Float8 unpack(uint4 raw) {
  return {{low_half(raw.x),
           high_half(raw.x),
           low_half(raw.y),
           high_half(raw.y),
           low_half(raw.z),
           high_half(raw.z),
           low_half(raw.w),
           high_half(raw.w)}};
}

__device__ inline uint4 pack(const Float8& v) {
  return make_uint4(pair_bits(v.at[0], v.at[1]),
                    pair_bits(v.at[2], v.at[3]),
                    pair_bits(v.at[4], v.at[5]),
                    pair_bits(v.at[6], v.at[7]));
}

/// 16-byte aligned.
__device__ inline Float8 load8(const Bf16* from) {
  return unpack(*reinterpret_cast<const uint4*>(from));
}

__device__ inline void store8(Bf16* to, const Float8& v) {
  *reinterpret_cast<uint4*>(to) = pack(v);
}

}  // namespace moesim::gpu_ref
