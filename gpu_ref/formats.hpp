// SPDX-License-Identifier: Apache-2.0
// The number formats of the reference layer, as bits, with their conversions on the host. A pointer
// to Bf16 or Fp8 may point to device memory: the bits are those of __nv_bfloat16 and __nv_fp8_e4m3.
#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <vector>

namespace moesim::gpu_ref {

/// bfloat16: the upper half of a float.
struct Bf16 {
  std::uint16_t bits = 0;
};

/// FP8 E4M3 (OCP 8-bit Floating Point 1.0): largest 448, no infinities, one NaN a sign.
struct Fp8 {
  std::uint8_t bits = 0;
};

constexpr float kLargestFp8 = 448.0F;

/// Elements that share one scale: 128 of a row of activations, 128 x 128 of a weight.
constexpr int kScaleBlock = 128;

[[nodiscard]] constexpr float to_float(Bf16 value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16U);
}

/// Nearest, ties to even; NaN stays NaN.
[[nodiscard]] Bf16 to_bf16(float value);

[[nodiscard]] float to_float(Fp8 value);

/// Nearest, ties to even; beyond the range the largest finite value; NaN stays NaN.
[[nodiscard]] Fp8 to_fp8(float value);

[[nodiscard]] std::vector<Bf16> to_bf16(std::span<const float> values);
[[nodiscard]] std::vector<double> to_double(std::span<const Bf16> values);
[[nodiscard]] std::vector<double> to_double(std::span<const float> values);

}  // namespace moesim::gpu_ref
