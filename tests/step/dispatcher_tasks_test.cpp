// SPDX-License-Identifier: Apache-2.0
// Times of the dispatchers beyond those of layer_tasks_test, derived by hand on its tiny cluster:
// ranks 0, 1 on node 0 and 2, 3 on node 1; a copy takes 100 us over a NIC (+ 4 us latency) and 10
// us inside a node (+ 2 us), in the combine twice that. Kernels start in 5 us, flows leave at 15
// us.
#include <gtest/gtest.h>

#include <vector>

#include "sim/step/layer_tasks.hpp"
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

constexpr double kTick = 1e-6;

struct OneLayer {
  Cluster cluster = build_cluster(tiny_spec());
  LayerWork work;
  CommunicationModel model;

  OneLayer(const TokensByRank& tokens, int top_k, const DispatchSpec& spec, double gap_us = 0)
      : work(make_layer(cluster, make_routing(tokens, 4, top_k), spec)),
        model(make_communication(spec, gap_us)) {}
  [[nodiscard]] RanLayers run() const {
    return run_layers(cluster, {work}, model, path_policy_of(model.dispatch, PathPolicy::kEcmp));
  }
};

/// Ends of a task of every rank, in microseconds.
std::vector<double> ends(const RanLayers& ran, const std::vector<TaskId>& tasks) {
  std::vector<double> result;
  for (std::size_t r = 0; r < tasks.size(); ++r) {
    result.push_back(ran.end_us(tasks, r));
  }
  return result;
}

void expect_ends(const std::vector<double>& actual, const std::vector<double>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    EXPECT_NEAR(actual[i], expected[i], kTick) << "rank " << i;
  }
}

constexpr DispatchSpec kNccl{.kind = DispatcherKind::kNccl};
constexpr DispatchSpec kOneSided{.kind = DispatcherKind::kOneSided};
constexpr DispatchSpec kTwoSided{.kind = DispatcherKind::kTwoSided};
constexpr DispatchSpec kTwoDimensional{.kind = DispatcherKind::kTwoDimensional};
constexpr DispatchSpec kAllGather{.kind = DispatcherKind::kAllGather};

/// Rank 0 has two tokens: one for ranks 1 and 2, one for 2 and 3.
TokensByRank two_tokens() {
  return {{{1, 2}, {2, 3}}, {}, {}, {}};
}

// Rounds: 0>1 (1 MB) first, 0>2 (2 MB) second, 0>3 (1 MB) last. One channel: 15 + 12 = 27, + 204 =
// 231, + 104 = 335.
TEST(NcclTasks, OneChannelServesOnePeerAfterTheOther) {
  DispatchSpec spec = kNccl;
  spec.channels = 1;
  spec.pxn = false;
  const RanLayers ran = OneLayer(two_tokens(), 2, spec).run();
  expect_ends(ends(ran, ran.layers[0].dispatch_done), {335, 27, 231, 335});
}

// PXN: 0>3 goes over rank 1's NIC at 10 GB/s, 2 + 4 us of latency: 15 + 100 + 6 = 121, and 0>2 has
// NIC 0 to itself: 15 + 200 + 4 = 219. On the way out of GPU 0 they leave 90 GB/s to 0>1: 15
// + 11.111
// + 2. Without PXN the two share NIC 0, as pairwise: 219 and 319.
TEST(NcclTasks, PxnLeavesByTheNicOfTheDestinationsRail) {
  const RanLayers pxn = OneLayer(two_tokens(), 2, kNccl).run();
  expect_ends(ends(pxn, pxn.layers[0].dispatch_done), {219, 15 + 100.0 / 9 + 2, 219, 121});
  DispatchSpec spec = kNccl;
  spec.pxn = false;
  const RanLayers direct = OneLayer(two_tokens(), 2, spec).run();
  expect_ends(ends(direct, direct.layers[0].dispatch_done), {319, 27, 319, 219});
}

/// Rank 0 has one token for rank 1.
TokensByRank one_neighbour() {
  return {{{1}}, {}, {}, {}};
}

// Stores end at 27 and with them the dispatch of all. Experts 50, kernel 5: 82. Rank 0 loads 2 MB,
// 22 us; rank 1, which is read, is done at once.
TEST(OneSidedTasks, EndTheDispatchTogetherAndLoadInTheCombine) {
  const RanLayers ran = OneLayer(one_neighbour(), 1, kOneSided).run();
  expect_ends(ends(ran, ran.layers[0].dispatch_done), {27, 27, 27, 27});
  expect_ends(ends(ran, ran.layers[0].combine_done), {104, 82, 82, 82});
}

// Rank 3, which nobody reads, computes until 27 + 150; its kernel runs from 182 on. All wait there.
TEST(OneSidedTasks, LoadNothingBeforeTheSlowestRankHasComputed) {
  OneLayer run(one_neighbour(), 1, kOneSided);
  run.work.compute.experts[3] = ticks(microseconds(150));
  const RanLayers ran = run.run();
  EXPECT_NEAR(ran.end_us(ran.layers[0].combine_done, 0), 182 + 22, kTick);
}

// Two rows of rank 1 cost their reader, rank 0, 2 * 30 us of issue from 97 on (experts: both rows
// go to one expert, 50 us by fixture; stores of 2 MB end at 15 + 22 = 37, issue of the dispatch at
// 75, so dispatch 75, experts 125, kernel 130): 190.
TEST(OneSidedTasks, ChargeTheReaderForItsLoads) {
  const RanLayers ran = OneLayer({{{1}, {1}}, {}, {}, {}}, 1, kOneSided, 30).run();
  expect_ends(ends(ran, ran.layers[0].combine_done), {190, 130, 130, 130});
}

// Each rank of node 0 sends a copy to the other. At 20 GB/s a rank copies 1 MB in 50 us: what it
// sends, and again what it drains from its queue: 15 + 100.
TEST(TwoSidedTasks, CopyWhatArrivesOutOfTheQueue) {
  const TokensByRank tokens = {{{1}}, {{0}}, {}, {}};
  OneLayer two_sided(tokens, 1, kTwoSided);
  two_sided.model.copy_rate = gigabytes_per_second(20);
  const RanLayers two = two_sided.run();
  expect_ends(ends(two, two.layers[0].dispatch_done), {115, 115, 15, 15});
  OneLayer one_sided(tokens, 1, kOneSided);
  one_sided.model.copy_rate = gigabytes_per_second(20);
  const RanLayers one = one_sided.run();
  EXPECT_NEAR(one.end_us(one.layers[0].dispatch_done, 0), 65, kTick);
}

// To rank 3 by way of rank 1: 15 + 12 = 27, second kernel 32, rail 104: 136. Back: 3>1 experts
// 136 + 50 + 5 = 191, 204: 395, second kernel 400, 22: 422.
TEST(TwoDimensionalTasks, RunTheirStagesAsTwoKernels) {
  const RanLayers ran = OneLayer({{{3}}, {}, {}, {}}, 1, kTwoDimensional).run();
  EXPECT_NEAR(ran.end_us(ran.layers[0].dispatch_done, 3), 136, kTick);
  EXPECT_NEAR(ran.end_us(ran.layers[0].combine_done, 0), 422, kTick);
}

// 0>1: 27. 0>2: 119. 2>3 follows one latency behind: its last byte leaves at 119, in at 121.
TEST(AllGatherTasks, CrossTheRailOnceAndForwardToAll) {
  const RanLayers ran = OneLayer(one_neighbour(), 1, kAllGather).run();
  expect_ends(ends(ran, ran.layers[0].dispatch_done), {119, 27, 119, 121});
}

// Four tokens for rank 3 by way of rank 2, chunks of one: the first is at rank 2 after 100 + 4, the
// last byte at 15 + 400 + 4 = 419, and its chunk takes 10 + 2 more. Without chunks 419 + 2.
TEST(HierarchicalTasks, ForwardWholeChunks) {
  const TokensByRank tokens = {{{3}, {3}, {3}, {3}}, {}, {}, {}};
  DispatchSpec spec{.kind = DispatcherKind::kHierarchical, .chunk_tokens = 1};
  OneLayer run(tokens, 1, spec);
  const std::vector<BytesPerSecond> capacities = usable_capacities(run.cluster);
  run.model.capacities = capacities;
  const RanLayers ran = run.run();
  EXPECT_NEAR(ran.end_us(ran.layers[0].dispatch_done, 3), 431, kTick);
  spec.chunk_tokens = 0;
  run.model.dispatch = spec;
  const RanLayers fluid = run.run();
  EXPECT_NEAR(fluid.end_us(fluid.layers[0].dispatch_done, 3), 421, kTick);
}

// 4 * (1 + 1) = 8 B to each of three peers; the two remote ones share the NIC, 16 B at 10 GB/s are
// 1.6 ns. Gate 10, kernel 5, latency 4: 19.0016; dispatch kernel 24.0016; 0>1 12 us.
TEST(NotifyTasks, ComeBetweenGateAndDispatchOnAllRanks) {
  const DispatchSpec spec{.kind = DispatcherKind::kPairwise, .notify = true};
  const RanLayers ran = OneLayer(one_neighbour(), 1, spec).run();
  EXPECT_NEAR(ran.start_us(ran.layers[0].dispatch_start, 0), 10, kTick);
  EXPECT_NEAR(ran.end_us(ran.layers[0].dispatch_done, 1), 36.0016, 1e-5);
  EXPECT_NEAR(ran.end_us(ran.layers[0].dispatch_done, 3), 24.0016, 1e-5);
}

}  // namespace
}  // namespace moesim
