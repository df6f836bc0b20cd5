// SPDX-License-Identifier: Apache-2.0
#include "sim/study/placement_search.hpp"

#include <gtest/gtest.h>

#include "tests/study/placement_scenes.hpp"

namespace moesim::testing {
namespace {

TrafficWindow scene_window() {
  return {.first = 0, .steps = kSceneSteps};
}

std::vector<std::vector<ExpertId>> slots_of(const SearchResult& result) {
  std::vector<std::vector<ExpertId>> slots;
  for (const Placement& placement : result.placements) {
    slots.push_back(placement.expert_of_slot);
  }
  return slots;
}

TEST(OptimisePlacement, SamePlacementsAtAnyThreadCount) {
  const RandomStep step = placement_scene(3);
  SearchOptions options{.slots = step.model.model.num_experts + 2 * step.model.ranks,
                        .moves = 2'000};
  options.threads = 1;
  const SearchResult one = optimise_placement(step.model, scene_window(), options);
  options.threads = 2;
  const SearchResult two = optimise_placement(step.model, scene_window(), options);
  EXPECT_EQ(slots_of(one), slots_of(two));
  EXPECT_EQ(one.moves, 4'000);
  options.seed = 2;
  EXPECT_NE(slots_of(one), slots_of(optimise_placement(step.model, scene_window(), options)));
}

}  // namespace
}  // namespace moesim::testing
