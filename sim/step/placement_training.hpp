// SPDX-License-Identifier: Apache-2.0
// Placements made from the loads of a window of a routing.
#pragma once

#include <span>
#include <vector>

#include "sim/moe/domains.hpp"
#include "sim/moe/placement.hpp"
#include "sim/moe/routing.hpp"

namespace moesim {

/// Steps [first, first + steps) of a routing.
struct StepWindow {
  int first = 0;
  int steps = 1;
};

/// Routed assignments of a window, [layer][expert]. Same at any thread count.
[[nodiscard]] std::vector<std::vector<double>> window_loads(const RoutingSource& routing,
                                                            StepWindow window,
                                                            int layers);

/// What EPLB takes for nodes: the scale-up domains when all hold equally many ranks, consecutive
/// ones; else 1.
[[nodiscard]] int eplb_nodes(const Domains& domains);

/// kGreedy and kEplb: one placement for each layer of `loads`. @param nodes  of kEplb
[[nodiscard]] std::vector<Placement> trained_placements(const PlacementSpec& spec,
                                                        std::span<const std::vector<double>> loads,
                                                        int ranks,
                                                        int nodes);

}  // namespace moesim
