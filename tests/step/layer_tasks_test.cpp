// SPDX-License-Identifier: Apache-2.0
// Times of whole layers, each derived by hand. The tiny cluster of step_fixtures.hpp: ranks 0, 1 on
// node 0 and 2, 3 on node 1. A copy takes 100 us over a NIC (+ 4 us latency) and 10 us inside a
// node (+ 2 us), combine copies twice that. Gate 0-10 us, kernel start 5 us: flows leave at 15 us.
#include "sim/step/layer_tasks.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "tests/step/step_fixtures.hpp"

namespace moesim {
namespace {

using testing::make_communication;
using testing::make_layer;
using testing::make_routing;
using testing::RanLayers;
using testing::run_layers;
using testing::tiny_spec;
using testing::TokensByRank;

constexpr DispatchSpec kPairwise{.kind = DispatcherKind::kPairwise};
constexpr DispatchSpec kPipelined{.kind = DispatcherKind::kHierarchical,
                                  .forwarding = Forwarding::kPipelined};
constexpr DispatchSpec kStored{.kind = DispatcherKind::kHierarchical,
                               .forwarding = Forwarding::kStoreAndForward};
constexpr DispatchSpec kLowLatency{.kind = DispatcherKind::kLowLatency};
constexpr DispatchSpec kPureRdma{.kind = DispatcherKind::kLowLatency, .scale_up = false};

constexpr double kTick = 1e-6;  // us; times below pass at most two roundings to a picosecond

/// One layer with expert e on rank e.
RanLayers run_one(const TokensByRank& tokens, int top_k, const DispatchSpec& spec, double gap = 0) {
  const Cluster cluster = build_cluster(tiny_spec());
  const LayerWork work = make_layer(cluster, make_routing(tokens, 4, top_k), spec);
  return run_layers(cluster, {work}, make_communication(spec, gap));
}

/// Rank 0 has two tokens: one for ranks 1 and 2, one for 2 and 3. Copies: 1, 2, 1.
TokensByRank two_tokens() {
  return {{{1, 2}, {2, 3}}, {}, {}, {}};
}
/// Rank 0 has one token for ranks 2 and 3.
TokensByRank one_token() {
  return {{{2, 3}}, {}, {}, {}};
}

// 0->1: 15 + 10 + 2 = 27. 0->2 (2 MB) and 0->3 (1 MB) share NIC 0 at 5 GB/s each: 0->3 is out at
// 215, in at 219; 0->2 has 1 MB left, 100 us alone: out at 315, in at 319. The sender's kernel
// lasts as long as its last send.
TEST(LayerTasks, PairwiseDispatchSharesTheSendersNic) {
  const RanLayers ran = run_one(two_tokens(), 2, kPairwise);
  const auto& done = ran.layers[0].dispatch_done;
  EXPECT_NEAR(ran.end_us(done, 0), 319, kTick);
  EXPECT_NEAR(ran.end_us(done, 1), 27, kTick);
  EXPECT_NEAR(ran.end_us(done, 2), 319, kTick);
  EXPECT_NEAR(ran.end_us(done, 3), 219, kTick);
}

// Experts (50) and kernel start (5) after each rank's own dispatch: rank 1 sends from 82, rank 3
// from 274, rank 2 from 374. 1->0: 82 + 20 + 2 = 104. 3->0 (2 MB) has NIC 0 alone for 100 us, then
// shares with 2->0 (4 MB): its second MB takes 200, in at 578. 2->0 has sent 1 MB by then (574) and
// needs 300 more: 874 + 4. The weighted sum takes 3.
TEST(LayerTasks, PairwiseCombineSharesTheReceiversNic) {
  const RanLayers ran = run_one(two_tokens(), 2, kPairwise);
  const LayerTasks& layer = ran.layers[0];
  EXPECT_NEAR(ran.end_us(layer.combine_start, 2), 374, kTick);
  EXPECT_NEAR(ran.end_us(layer.combine_done, 1), 104, kTick);
  EXPECT_NEAR(ran.end_us(layer.combine_done, 3), 578, kTick);
  EXPECT_NEAR(ran.end_us(layer.combine_done, 0), 878, kTick);
  EXPECT_NEAR(ran.end_us(layer.done, 0), 881, kTick);
  EXPECT_NEAR(ran.end_us(layer.done, 1), 107, kTick);
}

// The copy goes 0->2 over the rail: 15 + 100 + 4 = 119. Rank 2 forwards from 15 + 4 = 19 on (fill):
// 19 + 10 + 2 = 31, but the last byte is at the relay at 119 and 2 us later at rank 3: 121.
TEST(LayerTasks, PipelinedRelayEndsOneLatencyAfterTheRail) {
  const RanLayers ran = run_one(one_token(), 2, kPipelined);
  const auto& done = ran.layers[0].dispatch_done;
  EXPECT_NEAR(ran.end_us(done, 0), 119, kTick);
  EXPECT_NEAR(ran.end_us(done, 1), 15, kTick);
  EXPECT_NEAR(ran.end_us(done, 2), 119, kTick);
  EXPECT_NEAR(ran.end_us(done, 3), 121, kTick);
}

// The relay starts when all is there: 119 + 10 + 2 = 131, and its own kernel lasts as long.
TEST(LayerTasks, StoreAndForwardRelayAddsTheTwoTransfers) {
  const RanLayers ran = run_one(one_token(), 2, kStored);
  const auto& done = ran.layers[0].dispatch_done;
  EXPECT_NEAR(ran.end_us(done, 0), 119, kTick);
  EXPECT_NEAR(ran.end_us(done, 2), 131, kTick);
  EXPECT_NEAR(ran.end_us(done, 3), 131, kTick);
}

// One copy crosses the rail, not two: pairwise sends both over NIC 0 and needs 200 us.
TEST(LayerTasks, HierarchicalSendsOneCopyADomain) {
  const RanLayers direct = run_one(one_token(), 2, kPairwise);
  const RanLayers relayed = run_one(one_token(), 2, kPipelined);
  EXPECT_NEAR(direct.end_us(direct.layers[0].dispatch_done, 3), 219, kTick);
  EXPECT_NEAR(relayed.end_us(relayed.layers[0].dispatch_done, 3), 121, kTick);
}

// Rank 3: dispatch 121, experts 171, kernel 176; its 2 MB reach the relay at 176 + 20 + 2 = 198.
// The relay's kernel runs from 119 + 50 + 5 = 174, it sends from 176 + 2 = 178 on: 200 us on the
// rail and 4: 382, later than the drain (198 + 4). The sum: 385.
TEST(LayerTasks, PipelinedCombineFillsTheRelayFirst) {
  const RanLayers ran = run_one(one_token(), 2, kPipelined);
  const LayerTasks& layer = ran.layers[0];
  EXPECT_NEAR(ran.end_us(layer.combine_start, 2), 174, kTick);
  EXPECT_NEAR(ran.end_us(layer.combine_done, 3), 198, kTick);
  EXPECT_NEAR(ran.end_us(layer.combine_done, 2), 382, kTick);
  EXPECT_NEAR(ran.end_us(layer.done, 0), 385, kTick);
}

// Ranks 2 and 3: dispatch 131, experts 181, kernel 186. Gather until 186 + 22 = 208, rail until
// 208 + 204 = 412, sum 415.
TEST(LayerTasks, StoreAndForwardCombineGathersBeforeTheRail) {
  const RanLayers ran = run_one(one_token(), 2, kStored);
  EXPECT_NEAR(ran.end_us(ran.layers[0].combine_done, 3), 208, kTick);
  EXPECT_NEAR(ran.end_us(ran.layers[0].done, 0), 415, kTick);
}

// 4 messages of 7 us leave rank 0 from 15 to 43: rank 1, whose bytes are there at 27, waits for
// them; ranks 3 and 2 wait for the NIC (219, 319). One-sided: rank 0 itself is done at 43.
TEST(LayerTasks, LowLatencyDispatchWaitsForTheMessagesNotForTheSends) {
  const RanLayers ran = run_one(two_tokens(), 2, kLowLatency, 7);
  const auto& done = ran.layers[0].dispatch_done;
  EXPECT_NEAR(ran.end_us(done, 0), 43, kTick);
  EXPECT_NEAR(ran.end_us(done, 1), 43, kTick);
  EXPECT_NEAR(ran.end_us(done, 2), 319, kTick);
  EXPECT_NEAR(ran.end_us(done, 3), 219, kTick);
}

// Rank 1's kernel starts at 43 + 55 = 98; one message: done at 105, not when its bytes are at rank
// 0 (120). Rank 3: 219 + 55 + 7 = 281; rank 2, two messages: 319 + 55 + 14 = 388. Rank 0 has the
// last byte when pairwise has it, 878.
TEST(LayerTasks, LowLatencyCombineFreesTheSenderAfterItsMessages) {
  const RanLayers ran = run_one(two_tokens(), 2, kLowLatency, 7);
  const auto& done = ran.layers[0].combine_done;
  EXPECT_NEAR(ran.end_us(done, 1), 105, kTick);
  EXPECT_NEAR(ran.end_us(done, 3), 281, kTick);
  EXPECT_NEAR(ran.end_us(done, 2), 388, kTick);
  EXPECT_NEAR(ran.end_us(done, 0), 878, kTick);
}

// Two experts of a token on rank 2 (8 experts, two a rank): low_latency sends the token twice,
// 15 + 200 + 4; pairwise once, 15 + 100 + 4.
TEST(LayerTasks, LowLatencySendsATokenOncePerExpert) {
  const Cluster cluster = build_cluster(tiny_spec());
  const Routing routing = make_routing({{{4, 5}}, {}, {}, {}}, 8, 2);
  for (const auto& [spec, end] : {std::pair(kLowLatency, 219.0), std::pair(kPairwise, 119.0)}) {
    const RanLayers ran =
        run_layers(cluster, {make_layer(cluster, routing, spec)}, make_communication(spec));
    EXPECT_NEAR(ran.end_us(ran.layers[0].dispatch_done, 2), end, kTick);
  }
}

// Inside node 0: 10 + 2 over scale-up, 100 + 4 when every message goes through the NICs.
TEST(LayerTasks, PureRdmaUsesTheNicInsideANode) {
  const TokensByRank tokens = {{{1}}, {}, {}, {}};
  const RanLayers scale_up = run_one(tokens, 1, kLowLatency);
  const RanLayers rdma = run_one(tokens, 1, kPureRdma);
  EXPECT_NEAR(scale_up.end_us(scale_up.layers[0].dispatch_done, 1), 27, kTick);
  EXPECT_NEAR(rdma.end_us(rdma.layers[0].dispatch_done, 1), 119, kTick);
}

/// Rank 0 sends four tokens to the expert of rank 2; experts take 25 us a token.
RanLayers run_four_tokens(const CapacitySpec& capacity) {
  const Cluster cluster = build_cluster(tiny_spec());
  const Routing routing = make_routing({{{2}, {2}, {2}, {2}}, {}, {}, {}}, 4, 1);
  LayerWork work = make_layer(cluster, routing, kPairwise, capacity);
  for (std::size_t r = 0; r < work.compute.experts.size(); ++r) {
    work.compute.experts[r] =
        ticks(static_cast<double>(work.traffic.slot_tokens[r]) * microseconds(25));
  }
  return run_layers(cluster, {work}, make_communication(kPairwise));
}

// Dropless: 15 + 400 + 4 = 419, experts until 519. Capacity ceil(2 * 4 * 1 / 4) = 2: half of the
// copies stay at home: 219, and the experts need 50 us: 269.
TEST(LayerTasks, DroppedAssignmentsShortenDispatchAndExperts) {
  const RanLayers all = run_four_tokens({});
  const RanLayers half =
      run_four_tokens({.policy = OverflowPolicy::kDrop, .factor = 2.0, .scope = {}});
  EXPECT_NEAR(all.end_us(all.layers[0].dispatch_done, 2), 419, kTick);
  EXPECT_NEAR(all.end_us(all.layers[0].experts, 2), 519, kTick);
  EXPECT_NEAR(half.end_us(half.layers[0].dispatch_done, 2), 219, kTick);
  EXPECT_NEAR(half.end_us(half.layers[0].experts, 2), 269, kTick);
}

// All ranks send a copy to expert 0. 1->0 over scale-up: 27; 2->0 and 3->0 share NIC 0's way in,
// 5 GB/s each: 15 + 200 + 4 = 219. With a sender each to itself it would be 119.
TEST(LayerTasks, AHotExpertIsBoundByItsOwnNic) {
  const RanLayers hot = run_one({{{0}}, {{0}}, {{0}}, {{0}}}, 1, kPairwise);
  const RanLayers even = run_one({{{2}}, {{3}}, {{0}}, {{1}}}, 1, kPairwise);
  EXPECT_NEAR(hot.end_us(hot.layers[0].dispatch_done, 1), 27, kTick);
  EXPECT_NEAR(hot.end_us(hot.layers[0].dispatch_done, 0), 219, kTick);
  EXPECT_NEAR(hot.end_us(hot.layers[0].dispatch_done, 3), 219, kTick);
  EXPECT_NEAR(even.end_us(even.layers[0].dispatch_done, 0), 119, kTick);
}

/// Ranks 0 and 1 each send a copy to the other node, through two leaves and one spine.
RanLayers run_fat_tree(double oversubscription) {
  ClusterSpec spec = tiny_spec();
  spec.fabric.kind = FabricKind::kFatTree;
  spec.fabric.oversubscription = oversubscription;
  const Cluster cluster = build_cluster(spec);
  const Routing routing = make_routing({{{2}}, {{3}}, {}, {}}, 4, 1);
  return run_layers(
      cluster, {make_layer(cluster, routing, kPairwise)}, make_communication(kPairwise));
}

// A leaf takes 2 * 10 GB/s. Its one uplink: 20 GB/s, both flows at the speed of their NICs,
// 15 + 100 + 4 + 2 hops * 3 = 125. Oversubscribed by 2: 10 GB/s, 5 each, 225.
TEST(LayerTasks, AnOversubscribedSpineHalvesTheRateBetweenLeaves) {
  const RanLayers full = run_fat_tree(1.0);
  const RanLayers thin = run_fat_tree(2.0);
  for (const std::size_t rank : {2U, 3U}) {
    EXPECT_NEAR(full.end_us(full.layers[0].dispatch_done, rank), 125, kTick);
    EXPECT_NEAR(thin.end_us(thin.layers[0].dispatch_done, rank), 225, kTick);
  }
}

/// Rank 0 sends a copy to rank 2 (its own rail) and one to rank 3 (the other rail).
RanLayers run_two_rails(PathPolicy policy) {
  ClusterSpec spec = tiny_spec();
  spec.fabric.kind = FabricKind::kRail;
  spec.fabric.nodes_per_leaf = 2;
  const Cluster cluster = build_cluster(spec);
  const Routing routing = make_routing({{{2}, {3}}, {}, {}, {}}, 4, 1);
  return run_layers(
      cluster, {make_layer(cluster, routing, kPairwise)}, make_communication(kPairwise), policy);
}

// ecmp: both share NIC 0, 15 + 200 + 4 = 219 to rank 2 and, over the spine (2 * 3 us), 225 to
// rank 3. rail_aligned: 0->3 takes scale-up (2 us) to rank 1's NIC: both have a NIC alone, 119
// and 121.
TEST(LayerTasks, RailAlignedPathsLeaveOverTheOtherNic) {
  const RanLayers ecmp = run_two_rails(PathPolicy::kEcmp);
  const RanLayers rail = run_two_rails(PathPolicy::kRailAligned);
  EXPECT_NEAR(ecmp.end_us(ecmp.layers[0].dispatch_done, 2), 219, kTick);
  EXPECT_NEAR(ecmp.end_us(ecmp.layers[0].dispatch_done, 3), 225, kTick);
  EXPECT_NEAR(rail.end_us(rail.layers[0].dispatch_done, 2), 119, kTick);
  EXPECT_NEAR(rail.end_us(rail.layers[0].dispatch_done, 3), 121, kTick);
}

// Rank 3's gate takes 1000 us and its copy goes to rank 2, 1005 + 10 + 2 = 1017 for both. Ranks 0
// and 1 swap a copy (27, experts 77, kernel 82, 20 + 2 back: 104, sum 107) and are done long
// before.
TEST(LayerTasks, ARankWithoutLateSendersDoesNotWait) {
  const Cluster cluster = build_cluster(tiny_spec());
  LayerWork work = make_layer(cluster, make_routing({{{1}}, {{0}}, {}, {{2}}}, 4, 1), kPairwise);
  work.compute.gate[3] = ticks(microseconds(1000));
  const RanLayers ran = run_layers(cluster, {work}, make_communication(kPairwise));
  EXPECT_NEAR(ran.end_us(ran.layers[0].done, 0), 107, kTick);
  EXPECT_NEAR(ran.end_us(ran.layers[0].done, 1), 107, kTick);
  EXPECT_NEAR(ran.end_us(ran.layers[0].dispatch_done, 2), 1017, kTick);
  EXPECT_NEAR(ran.end_us(ran.layers[0].dispatch_done, 3), 1017, kTick);
}

// The first layer is the pairwise one above (rank 0 done at 881, rank 1 at 107); the second starts
// on each rank by itself. There ranks 0 and 1 swap a copy: rank 0's flows leave at 881 + 15 = 896,
// rank 1's at 122. Rank 1 has rank 0's copy at 908.
TEST(LayerTasks, TheNextLayerStartsOnEachRankByItself) {
  const Cluster cluster = build_cluster(tiny_spec());
  const LayerWork first = make_layer(cluster, make_routing(two_tokens(), 4, 2), kPairwise);
  LayerWork second = make_layer(cluster, make_routing({{{1}}, {{0}}, {}, {}}, 4, 1), kPairwise);
  second.layer = 1;
  const RanLayers ran = run_layers(cluster, {first, second}, make_communication(kPairwise));
  EXPECT_NEAR(ran.start_us(ran.layers[1].gate, 0), 881, kTick);
  EXPECT_NEAR(ran.start_us(ran.layers[1].gate, 1), 107, kTick);
  EXPECT_NEAR(ran.end_us(ran.layers[1].dispatch_start, 1), 122, kTick);
  EXPECT_NEAR(ran.end_us(ran.layers[1].dispatch_done, 1), 908, kTick);
}

}  // namespace
}  // namespace moesim
