// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/surviving_placement.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <numeric>
#include <set>
#include <vector>

#include "sim/core/rng.hpp"

namespace moesim {
namespace {

/// Nodes that hold an expert.
std::size_t nodes_with(const Placement& placement, int expert, const std::vector<int>& nodes) {
  std::set<int> with;
  for (const SlotId slot : placement.slots_of(ExpertId{expert})) {
    with.insert(nodes[placement.rank_of(slot).index()]);
  }
  return with.size();
}

TEST(SurvivingPlacement, TwoNodesHoldEveryExpertEach) {
  const std::vector<double> load = {5, 1, 3, 7};
  const std::vector<int> nodes = {0, 0, 1, 1};
  const std::optional<Placement> placement = surviving_placement(load, 8, nodes, 2);
  ASSERT_TRUE(placement.has_value());
  for (int e = 0; e < 4; ++e) {
    EXPECT_EQ(placement->slots_of(ExpertId{e}).size(), 2U);
    EXPECT_EQ(nodes_with(*placement, e, nodes), 2U);
  }
}

TEST(SurvivingPlacement, SpareSlotsGoToTheHeaviest) {
  const std::vector<double> load = {1, 100, 1};
  const std::vector<int> nodes = {0, 1, 2, 3};
  const std::optional<Placement> placement = surviving_placement(load, 8, nodes, 2);
  ASSERT_TRUE(placement.has_value());
  EXPECT_EQ(placement->slots_of(ExpertId{1}).size(), 4U);
  EXPECT_EQ(nodes_with(*placement, 1, nodes), 4U);
}

TEST(SurvivingPlacement, FindsNoWayWhereOneNodeHasTooManySlots) {
  // Node 0 has 3 of 4 ranks with one slot each: two experts cannot both be on node 1.
  const std::vector<double> load = {1, 1};
  EXPECT_FALSE(surviving_placement(load, 4, {0, 0, 0, 1}, 2).has_value());
}

RC_GTEST_PROP(SurvivingPlacement, KeepsEveryExpertOnEnoughNodes, ()) {
  RngStream rng(*rc::gen::arbitrary<std::uint64_t>(), "survive");
  const int nodes = 2 + static_cast<int>(rng.below(4));
  const int per_node = 1 + static_cast<int>(rng.below(4));
  const int copies = 2 + static_cast<int>(rng.below(static_cast<std::uint64_t>(nodes - 1)));
  const int ranks = nodes * per_node;
  const int experts = 1 + static_cast<int>(rng.below(40));
  std::vector<int> node_of_rank;
  for (int r = 0; r < ranks; ++r) {
    node_of_rank.push_back(r / per_node);
  }
  std::vector<double> load;
  for (int e = 0; e < experts; ++e) {
    load.push_back(std::floor(100.0 * rng.uniform01()));
  }
  const int spare = static_cast<int>(rng.below(3));
  const int slots = ((copies * experts + ranks - 1) / ranks + spare) * ranks;
  const std::optional<Placement> placement = surviving_placement(load, slots, node_of_rank, copies);
  RC_ASSERT(placement.has_value());
  RC_ASSERT(placement->num_slots() == slots);
  for (int e = 0; e < experts; ++e) {
    RC_ASSERT(nodes_with(*placement, e, node_of_rank) >= static_cast<std::size_t>(copies));
  }
}

}  // namespace
}  // namespace moesim
