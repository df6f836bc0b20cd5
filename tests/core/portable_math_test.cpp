// SPDX-License-Identifier: Apache-2.0
#include "sim/core/portable_math.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <stdexcept>

namespace moesim {
namespace {

// libm is within an ulp (2.2e-16) or two of the truth; ours adds a few of rounding.
constexpr double kRelative = 2e-15;

TEST(PortableMath, KnownValues) {
  EXPECT_EQ(portable_log(1.0), 0.0);
  EXPECT_EQ(portable_exp(0.0), 1.0);
  EXPECT_NEAR(portable_log(10.0), 2.302585092994045684, 1e-15);
  EXPECT_NEAR(portable_exp(1.0), 2.718281828459045235, 1e-15);
  EXPECT_EQ(portable_exp(-701.0), 0.0);
}

TEST(PortableMath, RefusesWhatHasNoFiniteAnswer) {
  EXPECT_THROW((void)portable_log(0.0), std::logic_error);
  EXPECT_THROW((void)portable_log(-1.0), std::logic_error);
  EXPECT_THROW((void)portable_log(INFINITY), std::logic_error);
  EXPECT_THROW((void)portable_exp(701.0), std::logic_error);
  EXPECT_THROW((void)portable_exp(NAN), std::logic_error);
}

RC_GTEST_PROP(PortableMath, AgreesWithTheLibrary, (std::int32_t mantissa, std::uint16_t scale)) {
  const double x = mantissa / 4e6;  // within 540
  RC_ASSERT(std::fabs(portable_exp(x) - std::exp(x)) <= kRelative * std::exp(x));
  const double y = std::ldexp(1.0 + std::fabs(x), scale % 1000 - 500);
  RC_ASSERT(std::fabs(portable_log(y) - std::log(y)) <=
            kRelative * std::fmax(1.0, std::fabs(std::log(y))));
}

}  // namespace
}  // namespace moesim
