// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/generate/noise.hpp"

#include <array>
#include <cmath>

#include "sim/core/check.hpp"
#include "sim/core/portable_math.hpp"

namespace moesim::generate {
namespace {

NoiseTables make_tables() {
  constexpr int kEntries = 65'536;
  NoiseTables tables;
  for (int i = 0; i < kEntries; ++i) {
    const double p = (i + 0.5) / kEntries;
    tables.normal.push_back(static_cast<std::int32_t>(fixed_point(normal_quantile(p))));
    tables.gumbel.push_back(
        static_cast<std::int32_t>(fixed_point(-portable_log(-portable_log(p)))));
  }
  return tables;
}

constexpr std::int64_t kDigit = 256;  // scores are taken apart to this base
static_assert(kDigit * kDigit == kScoreOne);
constexpr std::int64_t kLeastPower = 45;

struct ExpTables {
  std::array<double, kLeastPower> whole{};  ///< e^-i
  std::array<double, kDigit> upper{};       ///< e^(-i / 256)
  std::array<double, kDigit> lower{};       ///< e^(-i / 65,536)
};

ExpTables make_exp_tables() {
  ExpTables tables;
  for (std::size_t i = 0; i < tables.whole.size(); ++i) {
    tables.whole[i] = portable_exp(-static_cast<double>(i));
  }
  for (std::size_t i = 0; i < tables.upper.size(); ++i) {
    tables.upper[i] = portable_exp(-static_cast<double>(i) / kDigit);
    tables.lower[i] = portable_exp(-static_cast<double>(i) / kScoreOne);
  }
  return tables;
}

const ExpTables& exp_tables() {
  static const ExpTables kTables = make_exp_tables();
  return kTables;
}

}  // namespace

double score_exp(std::int64_t score) {
  MOESIM_CHECK(score <= 0, "a score below the largest");
  const auto power = static_cast<std::uint64_t>(-score);
  if (power >= static_cast<std::uint64_t>(kLeastPower) * kScoreOne) {
    return 0.0;
  }
  const ExpTables& tables = exp_tables();
  return tables.whole[power / kScoreOne] * tables.upper[power / kDigit % kDigit] *
         tables.lower[power % kDigit];
}

double normal_quantile(double p) {
  MOESIM_CHECK(p > 0.0 && p < 1.0, "no such quantile");
  const double q = p - 0.5;
  if (std::fabs(q) <= 0.425) {
    const double r = 0.180625 - q * q;
    return q * (((59.109374720 * r + 159.29113202) * r + 50.434271938) * r + 3.3871327179) /
           (((67.187563600 * r + 78.757757664) * r + 17.895169469) * r + 1.0);
  }
  double r = std::sqrt(-portable_log(q < 0.0 ? p : 1.0 - p));
  double x = 0.0;
  if (r <= 5.0) {
    r -= 1.6;
    x = (((0.17023821103 * r + 1.3067284816) * r + 2.7568153900) * r + 1.4234372777) /
        ((0.12021132975 * r + 0.73700164250) * r + 1.0);
  } else {
    r -= 5.0;
    x = (((0.017337203997 * r + 0.42868294337) * r + 3.0812263860) * r + 6.6579051150) /
        ((0.012258202635 * r + 0.24197894225) * r + 1.0);
  }
  return q < 0.0 ? -x : x;
}

const NoiseTables& noise_tables() {
  static const NoiseTables kTables = make_tables();
  return kTables;
}

}  // namespace moesim::generate
