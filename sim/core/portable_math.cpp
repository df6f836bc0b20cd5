// SPDX-License-Identifier: Apache-2.0
#include "sim/core/portable_math.hpp"

#include <cmath>

#include "sim/core/check.hpp"

namespace moesim {
namespace {

// ln 2 in two parts: the first has trailing zero bits, so that small multiples of it are exact.
constexpr double kLn2High = 6.93147180369123816490e-01;
constexpr double kLn2Low = 1.90821492927058770002e-10;
constexpr double kInverseLn2 = 1.44269504088896338700;
constexpr double kSqrtHalf = 0.70710678118654752440;

}  // namespace

double portable_exp(double x) {
  constexpr double kMost = 700.0;
  constexpr int kTerms = 15;  // |r| <= ln 2 / 2: r^16 / 16! < 1e-20
  MOESIM_CHECK(x <= kMost, "exp of more than 700");
  if (x < -kMost) {
    return 0.0;
  }
  const double n = std::floor(x * kInverseLn2 + 0.5);
  const double r = (x - n * kLn2High) - n * kLn2Low;
  double sum = 1.0;
  for (int i = kTerms; i > 0; --i) {
    sum = 1.0 + sum * r / i;
  }
  return std::ldexp(sum, static_cast<int>(n));
}

double portable_log(double x) {
  constexpr int kTerms = 12;  // s^2 < 0.0295: s^24 / 25 < 1e-19
  MOESIM_CHECK(x > 0.0 && std::isfinite(x), "log of no positive number");
  int exponent = 0;
  double m = std::frexp(x, &exponent);
  if (m < kSqrtHalf) {
    m *= 2.0;
    --exponent;
  }
  const double s = (m - 1.0) / (m + 1.0);  // ln m = 2 atanh s
  const double square = s * s;
  double sum = 0.0;
  for (int i = kTerms; i >= 0; --i) {
    sum = sum * square + 1.0 / (2 * i + 1);
  }
  return exponent * kLn2High + (2.0 * s * sum + exponent * kLn2Low);
}

}  // namespace moesim
