// SPDX-License-Identifier: Apache-2.0
// How many pairs of experts that tokens ask for together can lie together at most, and how many
// places a token must visit therefore.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "sim/study/expert_traffic.hpp"

namespace moesim {

/// Vertices are the experts and, behind them, the groups of ranks that tokens come from.
/// pairs[a * vertices + b]: tokens of a window that ask for both experts a and b, or that come from
/// group b and ask for a; 0 where a = b.
struct PairCounts {
  std::size_t experts = 0;
  std::size_t groups = 0;
  double tokens = 0.0;
  std::vector<double> pairs;

  [[nodiscard]] std::size_t vertices() const { return experts + groups; }
};

/// @param group_of_rank  of the source ranks: domains, or the ranks themselves
[[nodiscard]] PairCounts count_pairs(const RoutingSource& routing,
                                     TrafficWindow window,
                                     int layer,
                                     std::span<const std::size_t> group_of_rank);

/// What may lie in one of the groups.
struct GroupSizes {
  std::size_t slots = 1;  ///< of the largest group
  std::size_t spare = 0;  ///< slots beyond one an expert, all groups
};

/// An upper bound on the pairs of one token that meet in the same group, summed over tokens; the
/// token's own group is one more element of it.
///
///   one slot an expert: 2 pairs = sum over groups g of x_g' (W + diag(d)) x_g - sum of d
///                              <= (slots + 1) * (sum of the largest `groups` eigenvalues of
///                                 W + diag(d), none below 0) - sum of d
///   d = -t (row sums - their mean), the best of five t
///   a spare slot of expert e adds at most the sum of the largest `slots` of its pairs, all spare
///   ones of e together its row sum
/// Source: Donath & Hoffman 1973 (spectral bound of graph partitioning), Ky Fan 1949.
/// Checked by: placement_bound_test (no placement has more).
[[nodiscard]] double most_pairs_together(const PairCounts& counts, const GroupSizes& sizes);

/// The fewest groups that tokens of `elements` elements visit in the mean, when in the mean `pairs`
/// pairs of them meet: m groups hold at least the pairs p(m) of an even split, and the mean lies on
/// or above the lower convex hull of the points (p(m), m), m up to `groups`.
/// Checked by: placement_bound_test (worked, and no placement visits fewer).
[[nodiscard]] double fewest_groups(std::size_t elements, std::size_t groups, double pairs);

/// The fewest copies that leave their group, summed over the tokens of the window:
/// tokens * (fewest_groups(top_k + 1, groups, most pairs / tokens) - 1).
[[nodiscard]] double fewest_copies(const PairCounts& counts, const GroupSizes& sizes, int top_k);

/// Adds the pairs and tokens of `more`. @pre as many experts and groups
void add_pairs(PairCounts& counts, const PairCounts& more);

/// By expert: its `others` largest counts of pairs with other experts, summed.
[[nodiscard]] std::vector<double> largest_pairs(const PairCounts& counts, std::size_t others);

/// Assignments beyond the first of a token in a group, summed over tokens and groups, at most: a
/// group of m slots has of each of its experts the pairs with m - 1 others, counted twice, and x -
/// 1 is at most x (x - 1) / 2:
///   half of (sum over experts of largest_pairs(m - 1) + spare slots * the largest of them)
/// Checked by: placement_bound_test (no placement shares more).
[[nodiscard]] double most_shared(const PairCounts& counts, const GroupSizes& sizes);

}  // namespace moesim
