// SPDX-License-Identifier: Apache-2.0
// The dispatchers beyond those of dispatch_test against transfers derived by hand, their notify
// rounds, and what group-limited gating does to the rail.
#include <gtest/gtest.h>

#include <numeric>
#include <string>

#include "sim/moe/dispatch.hpp"
#include "sim/moe/dispatch_parts.hpp"
#include "tests/moe/group_limited.hpp"

namespace moesim {
namespace {

constexpr CopyBytes kCopy{.payload = 90, .scales = 6, .indices = 4, .combine = 200};

/// Four ranks in two domains {0, 1} and {2, 3}, two experts a rank, both tokens on rank 0:
///   token 0: experts 2 4 6 = ranks 1 2 3     token 1: experts 6 7 0 = ranks 3 3 0
LayerTraffic plan(const DispatchSpec& spec) {
  return plan_traffic({.num_experts = 8,
                       .top_k = 3,
                       .token_begin = {0, 2, 2, 2, 2},
                       .experts = {2, 4, 6, 6, 7, 0},
                       .weights = {}},
                      {},
                      contiguous_placement(8, 4),
                      {.places = {{0, 0}, {0, 1}, {1, 0}, {1, 1}}, .spec = spec, .copy = kCopy});
}

LayerTraffic plan(DispatcherKind kind) {
  return plan(DispatchSpec{.kind = kind});
}

/// "0>3 x2 =200 s0 g-1; ..."
std::string text(const CommPlan& plan) {
  std::string result;
  for (const Transfer& t : plan.transfers) {
    result += std::to_string(t.source.value) + ">" + std::to_string(t.destination.value) + " x" +
              std::to_string(t.messages) + " =" + std::to_string(t.bytes) + " s" +
              std::to_string(t.stage) + " g" + std::to_string(t.group) + "; ";
  }
  return result;
}

std::vector<int> rounds(const CommPlan& plan) {
  std::vector<int> result;
  for (const Transfer& t : plan.transfers) {
    result.push_back(t.round);
  }
  return result;
}

// Three rows of rank 0 go to rank 3 in one message. Rounds: domain distance * 2 + index distance;
// on the way back from 3 to 0 the distances are -1 and -1, modulo 2 again 1 and 1.
TEST(Nccl, SendsEveryAssignmentInOneMessageAPair) {
  const LayerTraffic t = plan(DispatcherKind::kNccl);
  EXPECT_EQ(text(t.dispatch), "0>1 x1 =100 s0 g-1; 0>2 x1 =100 s0 g-1; 0>3 x1 =300 s0 g-1; ");
  EXPECT_EQ(text(t.combine), "1>0 x1 =200 s0 g-1; 2>0 x1 =200 s0 g-1; 3>0 x1 =600 s0 g-1; ");
  EXPECT_EQ(rounds(t.dispatch), (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(rounds(t.combine), (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(t.returned_rows, (std::vector<std::int64_t>{6, 0, 0, 0}));
}

// For rank 2 the relay is rank 0 itself, for rank 3 it is rank 1, which gets 3 rows to pass on and
// one for its own expert. Backwards 1>0 carries the four of them.
TEST(TwoDimensional, GathersRowsOnTheGpuOfTheDestinationsIndexFirst) {
  const LayerTraffic t = plan(DispatcherKind::kTwoDimensional);
  EXPECT_EQ(text(t.dispatch), "0>1 x1 =400 s0 g1; 0>2 x1 =100 s1 g0; 1>3 x1 =300 s1 g1; ");
  EXPECT_EQ(text(t.combine), "2>0 x1 =200 s0 g0; 3>1 x1 =600 s0 g1; 1>0 x1 =800 s1 g1; ");
  EXPECT_EQ(t.returned_rows, (std::vector<std::int64_t>{6, 0, 0, 0}));
}

// Two tokens to each rank: inside the domain, over the rail to rank 2, on to rank 3. Back comes one
// sum of each domain: 2 rows of own, 2 of rank 1, 2 over the rail.
TEST(AllGather, BringsAllTokensToAllRanksAndSumsOnTheWayBack) {
  const LayerTraffic t = plan(DispatcherKind::kAllGather);
  EXPECT_EQ(text(t.dispatch), "0>1 x1 =200 s0 g-1; 0>2 x1 =200 s0 g0; 2>3 x1 =200 s1 g0; ");
  EXPECT_EQ(text(t.combine), "1>0 x1 =400 s0 g-1; 3>2 x1 =400 s0 g0; 2>0 x1 =400 s1 g0; ");
  EXPECT_EQ(t.returned_rows, (std::vector<std::int64_t>{6, 0, 0, 0}));
  EXPECT_EQ(t.rank_received, (std::vector<std::int64_t>{1, 1, 1, 2}));
}

TEST(NvlinkAllToAll, SendsWhatPairwiseSends) {
  const LayerTraffic pairwise = plan(DispatcherKind::kPairwise);
  for (const DispatcherKind kind : {DispatcherKind::kOneSided, DispatcherKind::kTwoSided}) {
    EXPECT_EQ(text(plan(kind).dispatch), text(pairwise.dispatch));
    EXPECT_EQ(text(plan(kind).combine), text(pairwise.combine));
  }
}

TEST(HybridEp, SendsWhatHierarchicalSends) {
  const LayerTraffic hybrid = plan(DispatcherKind::kHybridEp);
  EXPECT_EQ(text(hybrid.dispatch), text(plan(DispatcherKind::kHierarchical).dispatch));
  EXPECT_EQ(hybrid.returned_rows, (std::vector<std::int64_t>{4, 0, 0, 0}));
}

// DeepSeek-V3: 7392 B of payload and scales. nccl adds a weight, hybrid_ep in 4 domains the weights
// of 64 experts.
TEST(CopyBytes, HaveTheIndicesOfTheirDispatcher) {
  ModelShape m;
  m.hidden_size = 7168;
  m.num_experts = 256;
  m.top_k = 8;
  m.dispatch_dtype = Dtype::kFp8;
  EXPECT_EQ(copy_bytes(m, DispatcherKind::kNccl).dispatch(), 7396);
  EXPECT_EQ(copy_bytes(m, DispatcherKind::kTwoDimensional).dispatch(), 7396);
  EXPECT_EQ(copy_bytes(m, DispatcherKind::kHybridEp, 4).dispatch(), 7648);
  EXPECT_EQ(copy_bytes(m, DispatcherKind::kOneSided).dispatch(), 7456);
  EXPECT_EQ(copy_bytes(m, DispatcherKind::kAllGather).dispatch(), 7456);
}

CommPlan notify(DispatcherKind kind) {
  return plan(DispatchSpec{.kind = kind, .notify = true}).notify;
}

// Two experts a rank: 4 * (2 + 1) = 12 B to each of 3 peers; nccl 8 * 8 = 64 B.
TEST(Notify, OfPairsTellsEachPeerItsCounts) {
  for (const auto& [kind, each] : {std::pair(DispatcherKind::kPairwise, 12),
                                   std::pair(DispatcherKind::kTwoSided, 12),
                                   std::pair(DispatcherKind::kNccl, 64),
                                   std::pair(DispatcherKind::kTwoDimensional, 64)}) {
    const CommPlan plan = notify(kind);
    ASSERT_EQ(plan.transfers.size(), 12U);
    for (const Transfer& t : plan.transfers) {
      EXPECT_EQ(t.bytes, each);
    }
  }
}

// Over the rail 4 * (2 * 2 + 2 + 1) = 28 B for the domain of two ranks, then 12 B for its other
// rank.
TEST(Notify, OfHierarchicalCrossesTheRailOnceADomain) {
  EXPECT_EQ(text(notify(DispatcherKind::kHierarchical)).substr(0, 62),
            "0>1 x1 =12 s0 g-1; 0>2 x1 =28 s0 g0; 1>0 x1 =12 s0 g-1; 1>3 x1");
  EXPECT_EQ(notify(DispatcherKind::kHierarchical).transfers.size(), 12U);
}

// The map of two tokens and 8 experts is 16 B; ranks without tokens have none.
TEST(Notify, OfHybridEpGathersTheRoutingMap) {
  EXPECT_EQ(text(notify(DispatcherKind::kHybridEp)),
            "0>1 x1 =16 s0 g-1; 0>2 x1 =16 s0 g0; 2>3 x1 =16 s1 g0; ");
}

TEST(Notify, IsLeftOutUnlessAskedForAndWhereNoCountsAreExchanged) {
  EXPECT_TRUE(plan(DispatcherKind::kPairwise).notify.transfers.empty());
  for (const DispatcherKind kind :
       {DispatcherKind::kLowLatency, DispatcherKind::kAllGather, DispatcherKind::kOneSided}) {
    EXPECT_FALSE(has_notify(kind));
    EXPECT_TRUE(notify(kind).transfers.empty());
  }
}

// EP64, 8 nodes, a group a node. Published for this setting: 3.984 nodes and 7.48 ranks a token.
// 7 of 8 nodes are remote, so 3.486 copies a token leave over the NIC; without the limit a token
// visits 8 (1 - C(224, 8) / C(256, 8)) = 5.30 nodes, 4.64 of them remote: 33 % more NIC bytes.
TEST(Hierarchical, GroupLimitedGatingBoundsTheCopiesOnTheRail) {
  constexpr int kRanks = 64;
  constexpr int kTokens = 100;
  const Routing routing = testing::group_limited_routing(kRanks, kTokens);
  DispatchSetup setup{.places = {}, .spec = {.kind = DispatcherKind::kHierarchical}, .copy = kCopy};
  for (int r = 0; r < kRanks; ++r) {
    setup.places.push_back({r / 8, r % 8});
  }
  const LayerTraffic traffic = plan_traffic(routing, {}, contiguous_placement(256, kRanks), setup);
  double rail = 0;
  for (const Transfer& t : traffic.dispatch.transfers) {
    rail += t.stage == 0 && t.group >= 0 ? static_cast<double>(t.messages) : 0.0;
  }
  EXPECT_NEAR(rail / (kRanks * kTokens), 3.984 * 7 / 8, 0.03);
  const double copies = static_cast<double>(
      std::accumulate(traffic.rank_received.begin(), traffic.rank_received.end(), std::int64_t{0}));
  EXPECT_NEAR(copies / (kRanks * kTokens), 7.48, 0.03);
}

}  // namespace
}  // namespace moesim
