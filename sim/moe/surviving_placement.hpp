// SPDX-License-Identifier: Apache-2.0
// Placements that keep every expert when nodes are lost.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "sim/moe/placement.hpp"

namespace moesim {

/// Every expert on `copies` different nodes or more, so that any copies - 1 of them may go.
///
///   copies of an expert: `copies`, then one more for the largest load / (copies so far), till the
///   slots are used up; by falling share, each to the lightest rank with room whose node has none
///   of it yet while it is on less than `copies` nodes; where there is none, a placed copy of
///   another expert makes room, if that one stays on enough nodes
///
/// None when that finds no way. Source: ours; EPLB's replication, with the rule on nodes.
/// Valid for: equally loaded replicas. Checked by: surviving_placement_test.
/// @pre slots is a multiple of the ranks and at least copies * load.size()
[[nodiscard]] std::optional<Placement> surviving_placement(std::span<const double> load,
                                                           int slots,
                                                           const std::vector<int>& node_of_rank,
                                                           int copies);

}  // namespace moesim
