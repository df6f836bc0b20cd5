// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/formats.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace moesim::gpu_ref {
namespace {

TEST(Formats, Bf16RoundsToNearestEven) {
  EXPECT_EQ(to_float(to_bf16(1.0F)), 1.0F);
  EXPECT_EQ(to_float(to_bf16(1.0F + 1.0F / 256)), 1.0F);               // half way, to even
  EXPECT_EQ(to_float(to_bf16(1.0F + 3.0F / 256)), 1.0F + 4.0F / 256);  // half way, to even
  EXPECT_EQ(to_float(to_bf16(1.0F + 1.5F / 256)), 1.0F + 2.0F / 256);
  EXPECT_EQ(to_float(to_bf16(-0.0F)), -0.0F);
  EXPECT_TRUE(std::signbit(to_float(to_bf16(-0.0F))));
  EXPECT_TRUE(std::isnan(to_float(to_bf16(std::numeric_limits<float>::quiet_NaN()))));
  EXPECT_TRUE(std::isinf(to_float(to_bf16(std::numeric_limits<float>::max()))));
}

TEST(Formats, EveryFp8ValueSurvivesTheRoundTrip) {
  for (int bits = 0; bits < 256; ++bits) {
    const Fp8 value{static_cast<std::uint8_t>(bits)};
    if ((bits & 0x7f) == 0x7f) {
      EXPECT_TRUE(std::isnan(to_float(value)));
      EXPECT_TRUE(std::isnan(to_float(to_fp8(to_float(value)))));
    } else {
      EXPECT_EQ(to_fp8(to_float(value)).bits, bits);
    }
  }
}

/// Values of the format's definition: 1 sign, 4 exponent (bias 7), 3 mantissa bits.
TEST(Formats, Fp8ValuesAreThoseOfTheStandard) {
  EXPECT_EQ(to_float(Fp8{0x38}), 1.0F);
  EXPECT_EQ(to_float(Fp8{0x7e}), 448.0F);
  EXPECT_EQ(to_float(Fp8{0x08}), 1.0F / 64);   // smallest normal, 2^-6
  EXPECT_EQ(to_float(Fp8{0x01}), 1.0F / 512);  // smallest subnormal, 2^-9
  EXPECT_EQ(to_float(Fp8{0xbc}), -1.5F);
}

TEST(Formats, Fp8PicksTheNearestValueTiesToEvenAndSaturates) {
  // Between two neighbours a < b, everything below the middle is a, above it b, the middle the even
  // one.
  for (int bits = 0; bits < 0x7e; ++bits) {
    const float low = to_float(Fp8{static_cast<std::uint8_t>(bits)});
    const float high = to_float(Fp8{static_cast<std::uint8_t>(bits + 1)});
    const float middle = low + (high - low) / 2;
    EXPECT_EQ(to_fp8(std::nextafter(middle, 0.0F)).bits, bits);
    EXPECT_EQ(to_fp8(std::nextafter(middle, 1000.0F)).bits, bits + 1);
    EXPECT_EQ(to_fp8(middle).bits, bits % 2 == 0 ? bits : bits + 1);
    EXPECT_EQ(to_fp8(-middle).bits, (bits % 2 == 0 ? bits : bits + 1) | 0x80);
  }
  EXPECT_EQ(to_fp8(1e9F).bits, 0x7e);
  EXPECT_EQ(to_fp8(-std::numeric_limits<float>::infinity()).bits, 0xfe);
}

}  // namespace
}  // namespace moesim::gpu_ref
