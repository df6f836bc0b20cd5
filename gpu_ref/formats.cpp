// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/formats.hpp"

#include <algorithm>
#include <cmath>

namespace moesim::gpu_ref {
namespace {

constexpr std::uint32_t kFloatSign = 0x80000000U;
constexpr std::uint8_t kFp8Nan = 0x7f;
constexpr std::uint8_t kFp8Largest = 0x7e;
constexpr int kFp8Bias = 7;
constexpr int kFp8MantissaBits = 3;

}  // namespace

Bf16 to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (std::isnan(value)) {
    return {static_cast<std::uint16_t>((bits >> 16U) | 0x40U)};
  }
  const std::uint32_t odd = (bits >> 16U) & 1U;
  return {static_cast<std::uint16_t>((bits + 0x7fffU + odd) >> 16U)};
}

float to_float(Fp8 value) {
  const int magnitude = value.bits & 0x7f;
  const float sign = (value.bits & 0x80) != 0 ? -1.0F : 1.0F;
  if (magnitude == kFp8Nan) {
    return std::bit_cast<float>(0x7fc00000U);
  }
  const int exponent = magnitude >> kFp8MantissaBits;
  const int mantissa = magnitude & 7;
  if (exponent == 0) {
    return sign * std::ldexp(static_cast<float>(mantissa), 1 - kFp8Bias - kFp8MantissaBits);
  }
  return sign *
         std::ldexp(static_cast<float>(8 + mantissa), exponent - kFp8Bias - kFp8MantissaBits);
}

Fp8 to_fp8(float value) {
  const bool negative = (std::bit_cast<std::uint32_t>(value) & kFloatSign) != 0;
  const auto sign = static_cast<std::uint8_t>(negative ? 0x80 : 0);
  if (std::isnan(value)) {
    return {static_cast<std::uint8_t>(sign | kFp8Nan)};
  }
  const float magnitude = std::fabs(value);
  if (magnitude >= kLargestFp8) {
    return {static_cast<std::uint8_t>(sign | kFp8Largest)};
  }
  // Multiples of the spacing at this magnitude; a carry into the next binade is right by itself.
  const int binade = magnitude > 0 ? std::max(std::ilogb(magnitude), 1 - kFp8Bias) : 1 - kFp8Bias;
  const auto steps =
      static_cast<int>(std::nearbyint(std::ldexp(magnitude, kFp8MantissaBits - binade)));
  const int exponent_steps = (binade + kFp8Bias - 1) * 8;
  return {static_cast<std::uint8_t>(sign | (exponent_steps + steps))};
}

std::vector<Bf16> to_bf16(std::span<const float> values) {
  std::vector<Bf16> out(values.size());
  std::transform(
      values.begin(), values.end(), out.begin(), [](float value) { return to_bf16(value); });
  return out;
}

std::vector<double> to_double(std::span<const Bf16> values) {
  std::vector<double> out(values.size());
  std::transform(values.begin(), values.end(), out.begin(), [](Bf16 value) {
    return static_cast<double>(to_float(value));
  });
  return out;
}

std::vector<double> to_double(std::span<const float> values) {
  return {values.begin(), values.end()};
}

}  // namespace moesim::gpu_ref
