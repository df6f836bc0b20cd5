// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/lost_ranks.hpp"

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include <vector>

namespace moesim {
namespace {

using testing::ElementsAre;

const LostRanks kSecond = {false, true, false};

/// Ranks 0, 1, 2 hold experts {0, 1}, {1, 2}, {0, 2}.
Placement three_ranks() {
  return placement_from_slots(
      {ExpertId{0}, ExpertId{1}, ExpertId{1}, ExpertId{2}, ExpertId{0}, ExpertId{2}}, 3);
}

std::vector<int> ids(std::span<const SlotId> slots) {
  std::vector<int> values;
  for (const SlotId slot : slots) {
    values.push_back(slot.value);
  }
  return values;
}

TEST(LostRanks, ReplicasThatAreLeftServe) {
  const Remaining left = without_lost(three_ranks(), kSecond);
  EXPECT_TRUE(left.without_slot.empty());
  EXPECT_THAT(ids(left.placement.slots_of(ExpertId{0})), ElementsAre(0, 4));
  EXPECT_THAT(ids(left.placement.slots_of(ExpertId{1})), ElementsAre(1));
  EXPECT_THAT(ids(left.placement.slots_of(ExpertId{2})), ElementsAre(5));
  EXPECT_EQ(left.placement.num_slots(), 6);
  EXPECT_EQ(left.placement.num_experts(), 3);
}

TEST(LostRanks, NamesExpertsThatAreGone) {
  const Remaining left = without_lost(three_ranks(), {true, true, false});
  EXPECT_THAT(left.without_slot, ElementsAre(ExpertId{1}));
}

/// Rank r has r + 1 tokens; token t of the group visits expert t with weight t.
class Counting final : public RoutingSource {
 public:
  Counting() {
    info_.num_experts = 6;
    info_.top_k = 1;
    info_.draw = "counted";
  }
  [[nodiscard]] const RoutingSourceInfo& info() const override { return info_; }
  [[nodiscard]] Routing route(int /*step*/, int /*layer*/) const override {
    return {.num_experts = 6,
            .top_k = 1,
            .token_begin = {0, 1, 3, 6},
            .experts = {0, 1, 2, 3, 4, 5},
            .weights = {0, 1, 2, 3, 4, 5}};
  }

 private:
  RoutingSourceInfo info_;
};

TEST(LostRanks, TheirTokensAreGone) {
  const auto source = without_lost(std::make_unique<Counting>(), kSecond);
  const Routing left = source->route(0, 0);
  EXPECT_THAT(left.token_begin, ElementsAre(0, 1, 1, 4));
  EXPECT_THAT(left.experts, ElementsAre(0, 3, 4, 5));
  EXPECT_THAT(left.weights, ElementsAre(0, 3, 4, 5));
  EXPECT_EQ(source->info().draw, "counted; tokens of lost ranks are left out");
}

TEST(LostRanks, NothingGoesToThem) {
  LayerTraffic traffic;
  traffic.dispatch.logical = TrafficMatrix(3);
  traffic.dispatch.logical.at(RankId{0}, RankId{1}) = 7;
  traffic.dispatch.logical.at(RankId{0}, RankId{2}) = 8;
  traffic.dispatch.transfers = {{.source = RankId{0}, .destination = RankId{1}, .bytes = 7},
                                {.source = RankId{0}, .destination = RankId{2}, .bytes = 8},
                                {.source = RankId{1}, .destination = RankId{2}, .bytes = 9}};
  traffic.notify = traffic.dispatch;
  drop_lost(traffic, {});
  EXPECT_EQ(traffic.dispatch.transfers.size(), 3U);
  drop_lost(traffic, kSecond);
  for (const CommPlan* plan : {&traffic.dispatch, &traffic.notify}) {
    ASSERT_EQ(plan->transfers.size(), 1U);
    EXPECT_EQ(plan->transfers[0].bytes, 8);
    EXPECT_EQ(plan->logical.at(RankId{0}, RankId{1}), 0);
    EXPECT_EQ(plan->logical.at(RankId{0}, RankId{2}), 8);
  }
}

}  // namespace
}  // namespace moesim
