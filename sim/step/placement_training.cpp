// SPDX-License-Identifier: Apache-2.0
#include "sim/step/placement_training.hpp"

#include <tbb/parallel_for.h>

#include "sim/core/check.hpp"
#include "sim/moe/eplb.hpp"

namespace moesim {

std::vector<std::vector<double>> window_loads(const RoutingSource& routing,
                                              StepWindow window,
                                              int layers) {
  MOESIM_CHECK(window.first >= 0 && window.steps > 0, "a window has steps");
  std::vector<std::vector<double>> loads(static_cast<std::size_t>(layers));
  tbb::task_group_context own(tbb::task_group_context::isolated);
  const auto add_layer = [&](std::size_t layer) {
    loads[layer].resize(static_cast<std::size_t>(routing.info().num_experts));
    for (int step = 0; step < window.steps; ++step) {
      const Routing routed = routing.route(window.first + step, static_cast<int>(layer));
      for (const ExpertIndex expert : routed.experts) {
        loads[layer][expert] += 1.0;  // whole numbers: exact in any order
      }
    }
  };
  tbb::parallel_for(std::size_t{0}, loads.size(), add_layer, own);
  return loads;
}

int eplb_nodes(const Domains& domains) {
  const std::size_t size = domains.members.empty() ? 0 : domains.members.front().size();
  for (std::size_t rank = 0; rank < domains.of_rank.size(); ++rank) {
    if (domains.of_rank[rank] != rank / size) {
      return 1;
    }
  }
  return size * domains.size() == domains.of_rank.size() ? static_cast<int>(domains.size()) : 1;
}

std::vector<Placement> trained_placements(const PlacementSpec& spec,
                                          std::span<const std::vector<double>> loads,
                                          int ranks,
                                          int nodes) {
  MOESIM_CHECK(is_trained(spec.kind), "this placement needs no loads");
  std::vector<Placement> placements;
  for (const std::vector<double>& load : loads) {
    const int slots = spec.slots > 0 ? spec.slots : static_cast<int>(load.size());
    placements.push_back(
        spec.kind == PlacementKind::kGreedy
            ? greedy_placement(load, ranks)
            : eplb_placement(
                  load, {.slots = slots, .groups = spec.groups, .nodes = nodes, .ranks = ranks}));
  }
  return placements;
}

}  // namespace moesim
