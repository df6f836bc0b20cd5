// SPDX-License-Identifier: Apache-2.0
// Whether slots go into ranks at all, when each takes a part of a rank's room.
#pragma once

#include <cstddef>
#include <limits>
#include <vector>

namespace moesim {

/// No choice fits.
inline constexpr double kInfinite = std::numeric_limits<double>::infinity();

/// So many slots of an expert that each take `part` of the room of a rank.
struct PartsAlike {
  double part = 0.0;
  int slots = 0;
};

/// Of every expert, by its number of slots less 1: the parts of its slots.
using SlotChoices = std::vector<std::vector<std::vector<PartsAlike>>>;

struct FitRoom {
  int ranks = 1;
  int slots_per_rank = 1;
  int spare = 0;  ///< slots beyond one an expert
};

/// The least cost over the numbers of slots c[e] >= 1 that sum to experts + spare.
/// @param costs  [expert][its slots - 1], spare + 1 of each. Checked by: wave_bound_test.
[[nodiscard]] double least_of_choices(const std::vector<std::vector<double>>& costs,
                                      std::size_t spare);

/// Whether no numbers of slots, and no way to spread them over ranks of room 1, fit. Depth first
/// over the numbers, the largest experts first, without those whose slots
///   - hold a part above 1,
///   - or sum to more than the ranks, as they are or under a threshold of 1/2, 2/5, 1/3, 1/4 or
///   1/5:
///     under e, parts above 1 - e count 1 and those below e nothing (with the least of the experts
///     still to come),
///   - or, at most 2 a rank, cannot pair: the largest with the smallest, and so on.
/// False also when 20,000 numbers have not settled it.
/// Source: Martello & Toth 1990 (bin packing, bound L2). Checked by: wave_bound_test.
[[nodiscard]] bool cannot_fit(const SlotChoices& choices, const FitRoom& room);

}  // namespace moesim
