// SPDX-License-Identifier: Apache-2.0
// Placements made from measured loads: greedy packing and DeepSeek's EPLB.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "sim/moe/placement.hpp"

namespace moesim {

/// Items to equally full bins: items by falling weight, equal ones by number, each to the lightest
/// bin that has room, of equal ones the first. Returns the items of each bin in the order in which
/// they came. Source: longest processing time first (Graham 1969) with a bound on the number of
/// jobs. Checked by: eplb_test. @pre bins divides weights.size()
[[nodiscard]] std::vector<std::vector<std::size_t>> pack_evenly(std::span<const double> weights,
                                                                std::size_t bins);

/// The item of each of `copies` copies: every item once, in order, then one after the other the
/// item with the largest weight / (copies so far), of equal ones the first. Checked by: eplb_test.
/// @pre copies >= weights.size() > 0
[[nodiscard]] std::vector<std::size_t> replicate(std::span<const double> weights,
                                                 std::size_t copies);

/// What EPLB is asked for.
struct EplbSize {
  int slots = 0;   ///< of a layer, a multiple of ranks, at least one an expert
  int groups = 1;  ///< of experts, in order; divides the experts
  int nodes = 1;   ///< in rank order; divides the ranks
  int ranks = 0;
};

/// Hierarchical when nodes divides groups: groups are packed to nodes (pack_evenly), each node
/// replicates its own experts (replicate) into slots / nodes slots and packs those to its ranks by
/// weight / copies. Global otherwise: the same with one group and one node.
/// Source: README of deepseek-ai/EPLB (2025), both policies and the worked example.
/// Checked by: eplb_test (that example, slot by slot).
[[nodiscard]] Placement eplb_placement(std::span<const double> load, const EplbSize& size);
[[nodiscard]] constexpr bool is_hierarchical(const EplbSize& size) {
  return size.groups % size.nodes == 0;
}

/// One slot an expert, packed by load. num_ranks divides load.size().
[[nodiscard]] Placement greedy_placement(std::span<const double> load, int num_ranks);

/// Experts in an order drawn from (seed, layer), in blocks. num_ranks divides num_experts.
[[nodiscard]] Placement random_placement(int num_experts,
                                         int num_ranks,
                                         std::uint64_t seed,
                                         int layer);

}  // namespace moesim
