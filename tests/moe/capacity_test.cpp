// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/capacity.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <stdexcept>

namespace moesim {
namespace {

TEST(SlotCapacity, IsTheShareOfASlotRoundedUp) {
  EXPECT_EQ(slot_capacity(1.0, 4096, 8, 256), 128);
  EXPECT_EQ(slot_capacity(1.25, 100, 2, 8), 32);  // 31.25
  EXPECT_EQ(slot_capacity(0.001, 1, 1, 8), 1);
  EXPECT_EQ(slot_capacity(1.0, 0, 8, 256), 0);
}

// 1.1 * 100 / 10 is 11.000000000000002 in binary; the user means 11.
TEST(SlotCapacity, ReadsADecimalFactorAsMeant) {
  ASSERT_GT(1.1 * 100 / 10, 11.0);
  EXPECT_EQ(slot_capacity(1.1, 50, 2, 10), 11);
}

TEST(SlotCapacity, StaysInRangeForAHugeFactor) {
  EXPECT_EQ(slot_capacity(1e300, 4096, 8, 256), 4'000'000'000'000'000'000);
  EXPECT_THROW(static_cast<void>(slot_capacity(0.0, 1, 1, 1)), std::logic_error);
}

/// Two ranks of two tokens, top-1 of two experts; expert 0 is hot: 0 0 | 0 1.
Routing hot_routing() {
  return {.num_experts = 2,
          .top_k = 1,
          .token_begin = {0, 2, 4},
          .experts = {0, 0, 0, 1},
          .weights = {0.5F, 0.25F, 1.0F, 1.0F}};
}

// Per rank: 1 * 2 tokens * 1 / 2 slots = 1 a rank, so rank 0 loses its second token.
TEST(ApplyCapacity, CountsByRank) {
  const Accepted a = apply_capacity(
      hot_routing(),
      {.policy = OverflowPolicy::kDrop, .factor = 1.0, .scope = CapacityScope::kRank});
  EXPECT_EQ(a.keep, (std::vector<std::uint8_t>{1, 0, 1, 1}));
  EXPECT_EQ(a.assignments, 4);
  EXPECT_EQ(a.dropped, 1);
  EXPECT_DOUBLE_EQ(a.weight, 2.75);
  EXPECT_DOUBLE_EQ(a.dropped_weight.value(), 0.25);
}

// Over the group: 1 * 4 * 1 / 2 = 2, so expert 0 takes rank 0's tokens and refuses rank 1's.
TEST(ApplyCapacity, CountsByGroup) {
  const Accepted a = apply_capacity(
      hot_routing(),
      {.policy = OverflowPolicy::kDrop, .factor = 1.0, .scope = CapacityScope::kGroup});
  EXPECT_EQ(a.keep, (std::vector<std::uint8_t>{1, 1, 0, 1}));
  EXPECT_DOUBLE_EQ(a.dropped_weight.value(), 1.0);
}

TEST(ApplyCapacity, KeepsEverythingWithoutAPolicyAndKnowsNoWeightItWasNotGiven) {
  Routing routing = hot_routing();
  EXPECT_DOUBLE_EQ(apply_capacity(routing, {}).dropped_weight.value(), 0.0);
  routing.weights.clear();
  const Accepted a = apply_capacity(routing, {});
  EXPECT_EQ(a.dropped, 0);
  EXPECT_TRUE(a.is_kept(3));
  EXPECT_FALSE(a.dropped_weight.has_value());
}

RC_GTEST_PROP(ApplyCapacity, ASlotNeverTakesMoreThanItsCapacityAndDropsOnlyWhenFull, ()) {
  const int experts = *rc::gen::inRange(1, 6);
  const int tokens = *rc::gen::inRange(0, 60);
  const double factor = *rc::gen::inRange(1, 30) / 10.0;
  Routing routing{
      .num_experts = experts, .top_k = 1, .token_begin = {0, tokens}, .experts = {}, .weights = {}};
  for (int t = 0; t < tokens; ++t) {
    routing.experts.push_back(static_cast<ExpertIndex>(*rc::gen::inRange(0, experts)));
  }
  const Accepted a = apply_capacity(
      routing, {.policy = OverflowPolicy::kDrop, .factor = factor, .scope = CapacityScope::kGroup});
  const std::int64_t capacity = slot_capacity(factor, tokens, 1, experts);
  std::int64_t expected_drops = 0;
  for (int e = 0; e < experts; ++e) {
    const auto asked = std::count(routing.experts.begin(), routing.experts.end(), e);
    std::int64_t kept = 0;
    for (std::size_t i = 0; i < routing.experts.size(); ++i) {
      kept += routing.experts[i] == e && a.is_kept(i) ? 1 : 0;
    }
    RC_ASSERT(kept == std::min<std::int64_t>(asked, capacity));
    expected_drops += asked - kept;
  }
  RC_ASSERT(a.dropped == expected_drops);
}

}  // namespace
}  // namespace moesim
