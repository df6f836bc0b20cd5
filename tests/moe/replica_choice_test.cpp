// SPDX-License-Identifier: Apache-2.0
// Which replica serves, and capacity with replicas, by hand.
#include "sim/moe/replica_choice.hpp"

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "sim/core/rng.hpp"
#include "sim/moe/capacity.hpp"
#include "sim/moe/dispatch_parts.hpp"

namespace moesim {
namespace {

using Keep = std::vector<std::uint8_t>;
using testing::ElementsAre;

/// Four ranks in two domains. Slots: rank 0: 0 1, rank 1: 2 0, rank 2: 3 0, rank 3: 1 2.
/// Expert 0 lies on ranks 0, 1 and 2, expert 1 on ranks 0 and 3, expert 2 on 1 and 3, expert 3
/// on 2.
Placement four_experts() {
  std::vector<ExpertId> slots;
  for (const int e : {0, 1, 2, 0, 3, 0, 1, 2}) {
    slots.push_back(ExpertId{e});
  }
  return placement_from_slots(std::move(slots), 4);
}

Domains two_domains() {
  return make_domains({{0, 0}, {0, 1}, {1, 0}, {1, 1}});
}

/// top_k 1; the experts of each rank's tokens.
Routing tokens(const std::vector<std::vector<int>>& by_rank) {
  Routing routing{.num_experts = 4, .top_k = 1, .token_begin = {0}, .experts = {}, .weights = {}};
  for (const std::vector<int>& experts : by_rank) {
    for (const int e : experts) {
      routing.experts.push_back(static_cast<ExpertIndex>(e));
    }
    routing.token_begin.push_back(static_cast<std::int32_t>(routing.experts.size()));
  }
  return routing;
}

std::vector<int> chosen(const Routing& routing, ReplicaRule rule) {
  const Placement placement = four_experts();
  const Domains domains = two_domains();
  std::vector<int> slots;
  for (const SlotId slot :
       choose_slots(routing, {.placement = placement, .domains = domains, .rule = rule})) {
    slots.push_back(slot.value);
  }
  return slots;
}

// Slots of expert 0: 0 3 5. Rank 0 starts at replica 0, rank 1 at replica 1, rank 3 at replica
// 3 mod 3 = 0.
TEST(ReplicaChoice, EvenTakesReplicasInTurnFromTheSourcesOwnStart) {
  EXPECT_THAT(chosen(tokens({{0, 0, 0, 0}, {0, 3, 0}, {}, {0}}), {}),
              ElementsAre(0, 3, 5, 0, 3, 4, 5, 0));
}

// Expert 0 from rank 1: its own slot 3. Expert 1 (slots 1 on rank 0, 6 on rank 3) from rank 1: rank
// 0 shares its domain. Expert 2 (slots 2 and 7) from rank 2: rank 3 does. Expert 3 has slot 4 only.
TEST(ReplicaChoice, NearestStaysOnTheRankThenInTheDomain) {
  const ReplicaRule rule{.choice = ReplicaChoice::kNearest, .limit = 1.0};
  EXPECT_THAT(chosen(tokens({{}, {0, 1, 3, 0}, {2}, {}}), rule), ElementsAre(3, 1, 4, 3, 7));
}

// Expert 3 fixes 2 assignments on rank 2. Expert 0 then goes to ranks 0, 1, 0, 1 (loads 1 1 2 2
// against rank 2's 2), and the fifth, at 2 2 2, to the first slot again.
TEST(ReplicaChoice, LeastLoadedLevelsTheRanks) {
  const ReplicaRule rule{.choice = ReplicaChoice::kLeastLoaded, .limit = 1.0};
  EXPECT_THAT(chosen(tokens({{0, 0, 0, 0, 0}, {}, {}, {3, 3}}), rule),
              ElementsAre(0, 3, 0, 3, 0, 4, 4));
}

// 8 assignments on 8 slots: each serves 1 before another is asked. Rank 1 asks its own slot 3, then
// slot 0 in its domain, then slot 5; the rest, all full, go to the emptiest: slots 0, 3, 5, 0.
TEST(ReplicaChoice, CapacityLimitedFillsTheNearestFirst) {
  const ReplicaRule rule{.choice = ReplicaChoice::kCapacityLimited, .limit = 1.0};
  EXPECT_THAT(chosen(tokens({{}, {0, 0, 0, 0, 0, 0, 0}, {}, {3}}), rule),
              ElementsAre(3, 0, 5, 0, 3, 5, 0, 4));
}

// Group scope: C = ceil(1 * 8 * 1 / 8) = 1 a slot. Even choice of rank 0: slots 0 3 5 0 3 5 for
// expert 0: the first three are taken, the others refused; expert 3 keeps one of two.
TEST(ReplicaCapacity, CountsBySlot) {
  CapacitySpec spec;
  spec.policy = OverflowPolicy::kDrop;
  spec.scope = CapacityScope::kGroup;
  const Routing routing = tokens({{0, 0, 0, 0, 0, 0}, {}, {3, 3}, {}});
  const Placement placement = four_experts();
  const Domains domains = two_domains();
  const Accepted a =
      apply_capacity(routing, spec, {.placement = placement, .domains = domains, .rule = {}});
  EXPECT_EQ(a.keep, (Keep{1, 1, 1, 0, 0, 0, 1, 0}));
  EXPECT_EQ(a.dropped, 4);
}

// The nearest replica of expert 0 for rank 0 is slot 0, C = ceil(1 * 4 / 8) = 1: token 0 keeps it.
// Round 1: token 1 asks the next replica, slot 3, and gets it; tokens 2 and 3 do not. Round 2:
// token 2 asks slot 5 and gets it. Token 3 has asked all three. With one try only slot 3 is asked.
TEST(ReplicaPolicy, AsksTheOtherReplicasOfTheSameExpert) {
  CapacitySpec spec;
  spec.policy = OverflowPolicy::kReplica;
  spec.scope = CapacityScope::kGroup;
  const Routing routing = tokens({{0, 0, 0, 0}, {}, {}, {}});
  const Placement placement = four_experts();
  const Domains domains = two_domains();
  const Placed placed{.placement = placement,
                      .domains = domains,
                      .rule = {.choice = ReplicaChoice::kNearest, .limit = 1.0}};
  Accepted a = apply_capacity(routing, spec, placed);
  EXPECT_EQ(a.keep, (Keep{1, 1, 1, 0}));
  EXPECT_THAT(a.slots, ElementsAre(SlotId{0}, SlotId{3}, SlotId{5}, testing::_));
  EXPECT_EQ(a.diverted, 2);
  EXPECT_EQ(a.dropped, 1);
  EXPECT_TRUE(a.experts.empty());
  spec.tries = 1;
  a = apply_capacity(routing, spec, placed);
  EXPECT_EQ(a.keep, (Keep{1, 1, 0, 0}));
  EXPECT_EQ(a.dropped, 2);
}

TEST(ReplicaPolicy, IsDropWithoutReplicas) {
  CapacitySpec spec;
  spec.policy = OverflowPolicy::kReplica;
  const Routing routing = tokens({{0, 0, 1, 2}});
  const Accepted moved = apply_capacity(routing, spec);
  spec.policy = OverflowPolicy::kDrop;
  EXPECT_EQ(moved.keep, apply_capacity(routing, spec).keep);
  EXPECT_EQ(moved.diverted, 0);
}

// C = ceil(4 * 2 / 8) = 1. Expert 3 keeps token 0 alone. Token 1 spills to its other choice, expert
// 0: of that rank 0 has asked replicas 0 and 1, so it gets replica 2, slot 5, which is free. Tokens
// 2 and 3 spill to expert 1, whose two slots they fill themselves: dropped.
TEST(ReplicaCapacity, GivesASpilledAssignmentAReplicaOfItsNewExpert) {
  CapacitySpec spec;
  spec.policy = OverflowPolicy::kSpill;
  spec.scope = CapacityScope::kGroup;
  Routing routing = tokens({{3, 0, 3, 0, 3, 1, 3, 1}, {}, {}, {}});
  routing.top_k = 2;
  routing.token_begin = {0, 4, 4, 4, 4};
  const Placement placement = four_experts();
  const Domains domains = two_domains();
  const Accepted a =
      apply_capacity(routing, spec, {.placement = placement, .domains = domains, .rule = {}});
  EXPECT_EQ(a.keep, (Keep{1, 1, 1, 1, 0, 1, 0, 1}));
  EXPECT_EQ(a.slots[1], SlotId{0});
  EXPECT_EQ(a.slots[3], SlotId{3});
  EXPECT_EQ(a.slots[2], SlotId{5});
}

TEST(ReplicaCapacity, TellsCallersThatReplicasNeedARule) {
  const Placement placement = four_experts();
  EXPECT_THROW(static_cast<void>(apply_capacity(tokens({{}, {}, {}, {}}), {}, &placement)),
               std::logic_error);
}

RC_GTEST_PROP(ReplicaChoice, GivesEveryAssignmentASlotOfItsExpertOnceINV1, ()) {
  RngStream rng(*rc::gen::arbitrary<std::uint64_t>(), "replicas");
  std::vector<std::vector<int>> by_rank(4);
  for (std::vector<int>& rank : by_rank) {
    rank.resize(rng.below(30));
    for (int& e : rank) {
      e = static_cast<int>(rng.below(4));
    }
  }
  const Routing routing = tokens(by_rank);
  const Placement placement = four_experts();
  const Domains domains = two_domains();
  CapacitySpec spec;
  spec.policy = *rc::gen::element(
      OverflowPolicy::kNone, OverflowPolicy::kDrop, OverflowPolicy::kReplica, OverflowPolicy::kPad);
  const ReplicaRule rule{.choice = static_cast<ReplicaChoice>(rng.below(4)), .limit = 1.0};
  const Accepted a =
      apply_capacity(routing, spec, {.placement = placement, .domains = domains, .rule = rule});
  RC_ASSERT(a.slots.size() == routing.experts.size());
  std::int64_t kept = 0;
  for (std::size_t i = 0; i < a.slots.size(); ++i) {
    RC_ASSERT(placement.expert_of_slot[a.slots[i].index()].value == routing.experts[i]);
    kept += a.is_kept(i) ? 1 : 0;
  }
  const RankCounts counts = count_ranks(routing, a, placement, domains);
  std::int64_t served = 0;
  for (const std::int64_t count : counts.slot_tokens) {
    served += count;
  }
  RC_ASSERT(served == kept);
  RC_ASSERT(kept == a.assignments - a.dropped);
}

}  // namespace
}  // namespace moesim
