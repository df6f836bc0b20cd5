// SPDX-License-Identifier: Apache-2.0
// Random scores in fixed point: integers compare alike on every platform, whatever its libm.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

namespace moesim::generate {

/// Scores are integers, this many to 1.
inline constexpr std::int32_t kScoreOne = 1 << 16;
/// The nearest fixed point, up where two are.
[[nodiscard]] inline std::int64_t fixed_point(double value) {
  return static_cast<std::int64_t>(std::floor(value * kScoreOne + 0.5));
}

/// The 65,536 middle quantiles of a distribution, times kScoreOne: a random 16-bit number picks
/// one. q[i] = F^-1((i + 1/2) / 65,536).
struct NoiseTables {
  std::vector<std::int32_t> normal;  ///< standard normal, within 4.3
  std::vector<std::int32_t> gumbel;  ///< -ln(-ln u), from -2.5 to 11.8
};

/// e^(score / kScoreOne) for a score of at most 0; below -45 it is 0. The same bits on every
/// platform: a product of three table entries. Checked by: generator_test.
[[nodiscard]] double score_exp(std::int64_t score);

/// The standard normal's quantile for p in (0, 1).
/// Source: Wichura 1988, AS 241, PPND7. Valid for: about 7 digits. Checked by: generator_test.
[[nodiscard]] double normal_quantile(double p);

/// Made once, then shared.
[[nodiscard]] const NoiseTables& noise_tables();

}  // namespace moesim::generate
