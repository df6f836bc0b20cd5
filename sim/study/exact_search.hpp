// SPDX-License-Identifier: Apache-2.0
// Small cases: every placement there is.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "sim/core/ids.hpp"

namespace moesim {

struct PlacementSpace {
  int experts = 0;
  int slots = 0;  ///< a multiple of ranks, at least the experts
  int ranks = 0;
};

/// The ways to give every rank its experts, the order of its slots aside: C(experts + s - 1,
/// s)^ranks with s slots a rank. Those without some expert count too. None: more than `most`.
[[nodiscard]] std::optional<std::int64_t> count_placements(const PlacementSpace& space,
                                                           std::int64_t most);

/// Calls `visit` with the slots of every placement that has all experts, each once, the experts of
/// a rank ascending. Ends when `visit` returns false. Checked by: placement_search_test.
void for_each_placement(const PlacementSpace& space,
                        const std::function<bool(const std::vector<ExpertId>&)>& visit);

}  // namespace moesim
