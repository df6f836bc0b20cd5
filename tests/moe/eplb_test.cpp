// SPDX-License-Identifier: Apache-2.0
// EPLB against its published worked example, and its parts by hand.
#include "sim/moe/eplb.hpp"

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <numeric>

#include "sim/core/rng.hpp"

namespace moesim {
namespace {

using testing::ElementsAre;

std::vector<int> experts_of(const Placement& placement) {
  std::vector<int> experts;
  for (const ExpertId expert : placement.expert_of_slot) {
    experts.push_back(expert.value);
  }
  return experts;
}

// 9 and 8 open the bins, 5 joins 8, 4 joins 9, and so on: 9 4 2 and 8 5 1.
TEST(PackEvenly, GivesTheHeaviestToTheLightestBinWithRoom) {
  const std::vector<double> weights = {4, 9, 1, 8, 2, 5};
  EXPECT_THAT(pack_evenly(weights, 2), ElementsAre(ElementsAre(1, 0, 4), ElementsAre(3, 5, 2)));
  // 10 fills half of bin 0; bin 1 takes the next two and is full, so the last goes to bin 0.
  const std::vector<double> heavy = {10, 1, 1, 1};
  EXPECT_THAT(pack_evenly(heavy, 2), ElementsAre(ElementsAre(0, 3), ElementsAre(1, 2)));
  // One item a bin: as they stand.
  EXPECT_THAT(pack_evenly(heavy, 4),
              ElementsAre(ElementsAre(0), ElementsAre(1), ElementsAre(2), ElementsAre(3)));
}

// 12 -> 6, then 7 -> 3.5, then 12 / 3 = 4 since 6 is the most, then 5.
TEST(Replicate, CopiesTheHeaviestShareOneAfterTheOther) {
  const std::vector<double> weights = {5, 12, 7};
  EXPECT_THAT(replicate(weights, 7), ElementsAre(0, 1, 2, 1, 2, 1, 0));
}

// README of deepseek-ai/EPLB: 12 experts in 4 groups, 16 slots, 2 nodes, 8 GPUs; both layers.
TEST(Eplb, GivesThePublishedExample) {
  const EplbSize size{.slots = 16, .groups = 4, .nodes = 2, .ranks = 8};
  const std::vector<double> first = {90, 132, 40, 61, 104, 165, 39, 4, 73, 56, 183, 86};
  const std::vector<double> second = {20, 107, 104, 64, 19, 197, 187, 157, 172, 86, 16, 27};
  EXPECT_THAT(experts_of(eplb_placement(first, size)),
              ElementsAre(5, 6, 5, 7, 8, 4, 3, 4, 10, 9, 10, 2, 0, 1, 11, 1));
  EXPECT_THAT(experts_of(eplb_placement(second, size)),
              ElementsAre(7, 10, 6, 8, 6, 11, 8, 9, 2, 4, 5, 1, 5, 0, 3, 1));
}

// 3 groups do not divide into 2 nodes: global. Loads 6 2 2 (6 slots on 2 ranks): expert 0 has 4
// slots of 1.5, experts 1 and 2 one of 2. Packed: 1 | 2 | 0 0 | 0 0.
TEST(Eplb, IsGlobalWhenNodesDoNotDivideTheGroups) {
  const std::vector<double> load = {6, 2, 2};
  const EplbSize size{.slots = 6, .groups = 3, .nodes = 2, .ranks = 2};
  EXPECT_FALSE(is_hierarchical(size));
  EXPECT_THAT(experts_of(eplb_placement(load, size)), ElementsAre(1, 0, 0, 2, 0, 0));
}

TEST(Greedy, GivesOneSlotAnExpert) {
  const std::vector<double> load = {4, 9, 1, 8, 2, 5};
  const Placement placement = greedy_placement(load, 2);
  EXPECT_THAT(experts_of(placement), ElementsAre(1, 0, 4, 3, 5, 2));
  EXPECT_FALSE(placement.has_replicas());
}

TEST(Random, DependsOnSeedAndLayerAlone) {
  const std::vector<int> drawn = experts_of(random_placement(64, 8, 3, 1));
  EXPECT_EQ(drawn, experts_of(random_placement(64, 8, 3, 1)));
  EXPECT_NE(drawn, experts_of(random_placement(64, 8, 3, 2)));
  EXPECT_NE(drawn, experts_of(random_placement(64, 8, 4, 1)));
  std::vector<int> all(64);
  std::iota(all.begin(), all.end(), 0);
  EXPECT_THAT(drawn, testing::UnorderedElementsAreArray(all));
}

/// Most loaded rank over the mean, each replica with its share.
double expected_imbalance(const Placement& p, const std::vector<double>& load) {
  std::vector<double> rank(static_cast<std::size_t>(p.num_ranks));
  for (std::size_t s = 0; s < p.expert_of_slot.size(); ++s) {
    const ExpertId expert = p.expert_of_slot[s];
    rank[p.rank_of_slot[s].index()] +=
        load[expert.index()] / static_cast<double>(p.slots_of(expert).size());
  }
  return *std::max_element(rank.begin(), rank.end()) * static_cast<double>(rank.size()) /
         std::accumulate(rank.begin(), rank.end(), 0.0);
}

RC_GTEST_PROP(Eplb, PlacesEveryExpertWithinTheBoundOfListScheduling, ()) {
  RngStream rng(*rc::gen::arbitrary<std::uint64_t>(), "loads");
  std::vector<double> load(32);
  for (double& value : load) {
    value = static_cast<double>(1 + rng.below(1000));
  }
  const int nodes = *rc::gen::element(1, 2, 4);
  const EplbSize size{.slots = 48, .groups = 4, .nodes = nodes, .ranks = 8};
  const Placement placement = eplb_placement(load, size);
  RC_ASSERT(placement.num_slots() == 48);
  RC_ASSERT(placement.num_experts() == 32);
  // No replica of an expert outside the node of its group (8 experts a group).
  for (std::size_t group = 0; group < 4; ++group) {
    std::vector<int> met;
    for (std::size_t s = 0; s < 48; ++s) {
      if (placement.expert_of_slot[s].index() / 8 == group) {
        met.push_back(placement.rank_of_slot[s].value / (8 / nodes));
      }
    }
    RC_ASSERT(std::adjacent_find(met.begin(), met.end(), std::not_equal_to<>()) == met.end());
  }
  if (nodes == 1) {
    RC_ASSERT(expected_imbalance(placement, load) <= 1.5);
  }
}

}  // namespace
}  // namespace moesim
