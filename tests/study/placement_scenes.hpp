// SPDX-License-Identifier: Apache-2.0
// Random layers with replicas, for tests of what places experts.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "sim/core/rng.hpp"
#include "sim/study/expert_traffic.hpp"
#include "sim/study/layer_resources.hpp"
#include "sim/study/placement_cost.hpp"
#include "tests/step/random_steps.hpp"

namespace moesim::testing {

inline constexpr int kSceneSteps = 3;

/// A random dropless step model whose replicas are chosen by any rule, with copy rates.
inline RandomStep placement_scene(std::uint64_t seed) {
  RandomStep step = random_step(seed, {.max_tokens = 40, .replicas = true});
  step.model.constants.expert_return = false;  // PlacementCost leaves it out
  RngStream rng(seed, "placement scene");
  StepModel& m = step.model;
  m.capacity = {};
  m.dispatch.notify = false;
  m.replicas = {.choice = static_cast<ReplicaChoice>(rng.below(4)), .limit = 0.5 + rng.uniform01()};
  m.constants.message_overhead = bytes(static_cast<double>(rng.below(3)) * 500.0);
  m.constants.sm_copy_rate = gigabytes_per_second(static_cast<double>(rng.below(2)) * 2.0);
  m.constants.combine_sm_copy_rate = m.constants.sm_copy_rate * 0.5;
  return step;
}

/// One layer on 4 ranks of 2 nodes of a random kind. `routing` outlives it.
inline StepModel two_node_model(RngStream& rng,
                                const ModelShape& shape,
                                const RoutingSource& routing) {
  ClusterSpec spec = random_cluster_spec(rng, true);
  spec.nodes = 2;
  StepModel model;
  model.cluster = build_cluster(spec);
  model.ranks = 4;
  model.layers = 1;
  model.model = shape;
  model.constants = plain_constants();
  model.routing = &routing;
  return model;
}

/// Constants of experts' GEMMs of any kind.
inline CostConstants random_expert_constants(RngStream& rng) {
  CostConstants constants = plain_constants();
  constants.gemm_overlap = rng.uniform01();
  constants.tile_fetch_share = rng.uniform01();
  constants.tile_rows = rng.below(2) == 0 ? 128 : 100;
  constants.expert_gather = rng.below(2) == 0;
  constants.expert_floor = microseconds(static_cast<double>(rng.below(40)));
  return constants;
}

/// Everything that a PlacementCost refers to.
struct CostScene {
  RandomStep step;
  ExpertTraffic traffic;
  LayerResources resources;

  explicit CostScene(std::uint64_t seed, int max_tokens = 1'000'000)
      : step(placement_scene(seed)),
        traffic(summarise_traffic(
            *step.model.routing,
            {.first = 0, .steps = kSceneSteps, .max_tokens = max_tokens, .in_order = true},
            0)),
        resources(layer_resources(step.model, start().num_slots())) {}
  [[nodiscard]] const Placement& start() const { return step.model.placements.front(); }
  [[nodiscard]] PlacementCost cost() const { return {step.model, traffic, resources, start()}; }
};

}  // namespace moesim::testing
