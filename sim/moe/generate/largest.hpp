// SPDX-License-Identifier: Apache-2.0
// The largest of random scores, found without branches on them, which chance would mislead. Not for
// other modules.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace moesim::generate {

/// Below every score that is drawn.
inline constexpr std::int32_t kNever = std::numeric_limits<std::int32_t>::min();

/// The sum of the two largest; of a single score, itself.
[[nodiscard]] std::int64_t best_two(std::span<const std::int32_t> scores);

/// The least of the maxima of as many parts as `maxima` has room for, every parts-th score in one:
/// that many scores are at least as large. @pre 0 < maxima.size() <= scores.size()
[[nodiscard]] std::int32_t smallest_maximum(std::span<const std::int32_t> scores,
                                            std::span<std::int32_t> maxima);

/// places[i] = how many values stand before values[i]: larger ones, and equal ones left of it.
/// Without branches, which random values would mislead: faster than sorting a few dozens.
template <typename T>
void places_of(const std::vector<T>& values, std::vector<std::uint32_t>& places) {
  places.assign(values.size(), 0);
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::uint32_t before = 0;
    for (std::size_t j = i + 1; j < values.size(); ++j) {
      const std::uint32_t later_first = values[j] > values[i] ? 1U : 0U;
      before += later_first;
      places[j] += 1 - later_first;
    }
    places[i] += before;
  }
}

}  // namespace moesim::generate
