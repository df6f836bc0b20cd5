// SPDX-License-Identifier: Apache-2.0
// How many pairs of experts that tokens ask for together can lie together at most.
#pragma once

#include <cstddef>
#include <vector>

#include "sim/study/expert_traffic.hpp"

namespace moesim {

/// pairs[a * experts + b]: tokens of a window that ask for both a and b; 0 where a = b.
struct PairCounts {
  std::size_t experts = 0;
  std::vector<double> pairs;
};
[[nodiscard]] PairCounts count_pairs(const RoutingSource& routing, TrafficWindow window, int layer);

/// What may lie in one of several groups of slots (the scale-up domains).
struct GroupSizes {
  std::size_t groups = 1;
  std::size_t slots = 1;  ///< of the largest group
  std::size_t spare = 0;  ///< slots beyond one an expert, all groups
};

/// An upper bound on the pairs of one token that are served in the same group, summed over tokens.
///
///   one slot an expert: 2 pairs = sum over groups g of x_g' (W + diag(d)) x_g - sum of d
///                              <= slots * (sum of the largest `groups` eigenvalues of W + diag(d),
///                                 none below 0) - sum of d
///   d = -t (row sums - their mean), the best of five t
///   a spare slot of expert e adds at most the sum of the largest slots - 1 of its pairs, all spare
///   ones of e together its row sum
/// Then a token of k experts visits at least k - (its pairs together) groups.
/// Source: Donath & Hoffman 1973 (spectral bound of graph partitioning), Ky Fan 1949.
/// Checked by: placement_bound_test (no placement has more).
[[nodiscard]] double most_pairs_together(const PairCounts& counts, const GroupSizes& sizes);

}  // namespace moesim
