// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/generate/largest.hpp"

#include <algorithm>
#include <array>

namespace moesim::generate {

// Four side by side: one after the other, each would wait for the one before it.
std::int64_t best_two(std::span<const std::int32_t> scores) {
  if (scores.size() == 1) {
    return scores[0];
  }
  std::array<std::int32_t, 4> bests{kNever, kNever, kNever, kNever};
  std::array<std::int32_t, 4> seconds = bests;
  std::int32_t best = kNever;
  std::int32_t second = kNever;
  const auto meet = [&](std::int32_t score) {
    second = std::max(second, std::min(best, score));
    best = std::max(best, score);
  };
  std::size_t e = 0;
  for (; e + bests.size() <= scores.size(); e += bests.size()) {
    for (std::size_t lane = 0; lane < bests.size(); ++lane) {
      const std::int32_t score = scores[e + lane];
      const std::int32_t top = bests[lane];
      const std::int32_t lower = score < top ? score : top;
      bests[lane] = score < top ? top : score;
      seconds[lane] = lower < seconds[lane] ? seconds[lane] : lower;
    }
  }
  for (; e < scores.size(); ++e) {
    meet(scores[e]);
  }
  for (std::size_t lane = 0; lane < bests.size(); ++lane) {
    meet(bests[lane]);
    meet(seconds[lane]);
  }
  return std::int64_t{best} + second;
}

std::int32_t smallest_maximum(std::span<const std::int32_t> scores,
                              std::span<std::int32_t> maxima) {
  std::fill(maxima.begin(), maxima.end(), kNever);
  for (std::size_t e = 0; e < scores.size(); e += maxima.size()) {
    const std::size_t count = std::min(maxima.size(), scores.size() - e);
    for (std::size_t part = 0; part < count; ++part) {
      maxima[part] = std::max(maxima[part], scores[e + part]);
    }
  }
  return *std::min_element(maxima.begin(), maxima.end());
}

}  // namespace moesim::generate
