// SPDX-License-Identifier: Apache-2.0
// A group of ranks some of which are lost: the others go on without them.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "sim/moe/dispatch.hpp"
#include "sim/moe/placement.hpp"
#include "sim/moe/routing.hpp"

namespace moesim {

/// Which ranks are lost, by rank; empty: none.
using LostRanks = std::vector<bool>;

[[nodiscard]] inline bool is_lost(const LostRanks& lost, std::size_t rank) {
  return !lost.empty() && lost[rank];
}

/// The slots that are left serve their experts; numbers of slots and ranks stay.
struct Remaining {
  Placement placement;                 ///< valid when no expert is without a slot
  std::vector<ExpertId> without_slot;  ///< experts whose slots are all lost, ascending
};
[[nodiscard]] Remaining without_lost(const Placement& placement, const LostRanks& lost);

/// The same routing without the tokens of lost ranks: their requests are gone.
[[nodiscard]] std::unique_ptr<RoutingSource> without_lost(std::unique_ptr<RoutingSource> whole,
                                                          LostRanks lost);

/// Takes out what no lost rank sends or gets: rounds of counts and gathers go to all ranks.
void drop_lost(LayerTraffic& traffic, const LostRanks& lost);

}  // namespace moesim
