// SPDX-License-Identifier: Apache-2.0
#include "sim/step/phase_rules.hpp"

#include <gtest/gtest.h>

namespace moesim {
namespace {

using Order = std::vector<std::pair<std::size_t, std::size_t>>;

/// From rank 0 to 1, 2 and 3, in rounds 3, 1 and 2.
CommPlan three_sends() {
  CommPlan plan;
  for (const auto& [destination, round] : {std::pair(1, 3), std::pair(2, 1), std::pair(3, 2)}) {
    plan.transfers.push_back({.source = RankId{0},
                              .destination = RankId{destination},
                              .bytes = 1,
                              .messages = 1,
                              .round = round});
  }
  return plan;
}

// In order of rounds: transfers 1 (to rank 2), 2 (to rank 3), 0 (to rank 1).
TEST(ChannelOrder, LetsARankSendToAFewPeersAtATime) {
  EXPECT_EQ(channel_order(three_sends(), 4, 1), (Order{{1, 2}, {2, 0}}));
  EXPECT_EQ(channel_order(three_sends(), 4, 2), (Order{{1, 0}}));
  EXPECT_EQ(channel_order(three_sends(), 4, 3), (Order{}));
}

TEST(ChannelOrder, LetsARankReceiveFromAFewPeersAtATime) {
  CommPlan plan = three_sends();
  for (Transfer& t : plan.transfers) {
    std::swap(t.source, t.destination);
  }
  EXPECT_EQ(channel_order(plan, 4, 1), (Order{{1, 2}, {2, 0}}));
}

TEST(ChannelOrder, HasNoLimitAtZero) {
  EXPECT_EQ(channel_order(three_sends(), 4, 0), (Order{}));
}

TEST(PhaseRules, OfOneSidedPushTheDispatchAndPullTheCombine) {
  const PhaseRules dispatch = phase_rules(DispatcherKind::kOneSided, false);
  EXPECT_TRUE(dispatch.ends_together && dispatch.kernel_waits_for_sends);
  EXPECT_FALSE(dispatch.pulled || dispatch.starts_together);
  const PhaseRules combine = phase_rules(DispatcherKind::kOneSided, true);
  EXPECT_TRUE(combine.pulled && combine.starts_together);
  EXPECT_FALSE(combine.ends_together || combine.kernel_waits_for_sends);
}

}  // namespace
}  // namespace moesim
