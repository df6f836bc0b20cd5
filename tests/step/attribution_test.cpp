// SPDX-License-Identifier: Apache-2.0
// Critical paths derived by hand, on the tiny cluster of step_fixtures.hpp; layer_tasks_test
// derives the times.
#include "sim/step/attribution.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>
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

constexpr DispatchSpec kPairwise{.kind = DispatcherKind::kPairwise};
constexpr DispatchSpec kLowLatency{.kind = DispatcherKind::kLowLatency};

/// Seconds of dispatch bytes on each link at full rate.
std::vector<double> dispatch_load(const Cluster& cluster, const TaskGraph& graph, int layer) {
  std::vector<double> load(cluster.links.size());
  for (const Task& task : graph.tasks) {
    if (task.label.kind == TaskKind::kDispatchFlow && task.label.layer == layer) {
      for (const LinkId link : graph.paths[static_cast<std::size_t>(task.flow_path)].links) {
        const Seconds busy = task.bytes / cluster.link(link).capacity;
        load[link.index()] += busy.value;
      }
    }
  }
  return load;
}

/// The parts of a layer that are not zero, in whole microseconds.
using PartsUs = std::vector<std::pair<std::string, std::int64_t>>;

PartsUs whole_us(const Parts& parts) {
  PartsUs result;
  for (std::size_t i = 0; i < kNumParts; ++i) {
    const std::int64_t us = (parts[i].picoseconds + 500'000) / 1'000'000;
    if (us != 0) {
      result.emplace_back(part_name(static_cast<Part>(i)), us);
    }
  }
  return result;
}

PartsUs parts_us(const Cluster& cluster, const RanLayers& ran, int layer) {
  return whole_us(attribute_layer(ran.graph,
                                  ran.times,
                                  ran.layers[static_cast<std::size_t>(layer)],
                                  cluster,
                                  dispatch_load(cluster, ran.graph, layer)));
}

// Ranks 0 and 2 end at 881; the walk starts at rank 0, the lower. Back: sum 3, flow 2->0 from 374
// to 878 (504, all combine), kernel 5, experts 50, flow 0->2 from 15 to 319: 4 latency and 300 at
// the sender (NIC 0 carries 3 MB out, rank 2's NIC 2 MB in), kernel 5, gate 10.
TEST(Attribution, FollowsThePairwiseLayerBackToTheSender) {
  const Cluster cluster = build_cluster(tiny_spec());
  const Routing routing = make_routing({{{1, 2}, {2, 3}}, {}, {}, {}}, 4, 2);
  const RanLayers ran =
      run_layers(cluster, {make_layer(cluster, routing, kPairwise)}, make_communication(kPairwise));
  EXPECT_EQ(parts_us(cluster, ran, 0),
            (PartsUs{{"gate", 10},
                     {"launch_latency", 5 + 4 + 5},
                     {"sender", 300},
                     {"experts", 50},
                     {"combine", 504 + 3}}));
}

// All four tokens visit expert 0; experts take 25 us a token: 100 on rank 0, 25 in the mean.
// Dispatch 15 to 219: NIC 0 carries 2 MB in, the senders' 1 MB each: 4 latency, 200 at the
// receiver. Combine: kernel 319 to 324, 2 MB to each of ranks 2 and 3 over NIC 0: 400 + 4, sum 3:
// 731.
TEST(Attribution, SplitsAHotExpertFromTheMeanAndBlamesItsReceiver) {
  const Cluster cluster = build_cluster(tiny_spec());
  LayerWork work = make_layer(cluster, make_routing({{{0}}, {{0}}, {{0}}, {{0}}}, 4, 1), kPairwise);
  work.compute.experts = {ticks(microseconds(100)), {}, {}, {}};
  const RanLayers ran = run_layers(cluster, {work}, make_communication(kPairwise));
  EXPECT_EQ(parts_us(cluster, ran, 0),
            (PartsUs{{"gate", 10},
                     {"launch_latency", 5 + 4 + 5},
                     {"receiver", 200},
                     {"experts", 25},
                     {"hot_expert", 75},
                     {"combine", 404 + 3}}));
}

// Two leaves, one uplink of 10 GB/s for two flows of 1 MB: 15 to 225, 10 latency, 200 on the
// uplink. Experts until 275, kernel 280, 4 MB back over the uplink: 400 + 10, sum 3: 693.
TEST(Attribution, BlamesTheLinkBetweenTheSwitches) {
  ClusterSpec spec = tiny_spec();
  spec.fabric.kind = FabricKind::kFatTree;
  spec.fabric.oversubscription = 2.0;
  const Cluster cluster = build_cluster(spec);
  const Routing routing = make_routing({{{2}}, {{3}}, {}, {}}, 4, 1);
  const RanLayers ran =
      run_layers(cluster, {make_layer(cluster, routing, kPairwise)}, make_communication(kPairwise));
  EXPECT_EQ(parts_us(cluster, ran, 0),
            (PartsUs{{"gate", 10},
                     {"launch_latency", 5 + 10 + 5},
                     {"hot_link", 200},
                     {"experts", 50},
                     {"combine", 410 + 3}}));
}

// Four messages of 100 us: rank 0 issues from 15 to 415, later than its bytes are there (319).
// Combine: all start at 470, NIC 0 takes 6 MB in: 600 + 4, sum 3: 1077.
TEST(Attribution, CountsTheIssueOfMessagesToTheSender) {
  const Cluster cluster = build_cluster(tiny_spec());
  const Routing routing = make_routing({{{1, 2}, {2, 3}}, {}, {}, {}}, 4, 2);
  const RanLayers ran = run_layers(
      cluster, {make_layer(cluster, routing, kLowLatency)}, make_communication(kLowLatency, 100));
  EXPECT_EQ(parts_us(cluster, ran, 0),
            (PartsUs{{"gate", 10},
                     {"launch_latency", 5 + 5},
                     {"sender", 400},
                     {"experts", 50},
                     {"combine", 604 + 3}}));
}

// The second layer begins on rank 1 at 107 and waits for rank 0, which enters at 881: 774. From
// there gate 10, kernel 5, flow 0->1 10 + 2, experts 50, kernel 5, combine 20 + 2, sum 3.
TEST(Attribution, ARankThatEntersLateIsAStraggler) {
  const Cluster cluster = build_cluster(tiny_spec());
  const LayerWork first =
      make_layer(cluster, make_routing({{{1, 2}, {2, 3}}, {}, {}, {}}, 4, 2), kPairwise);
  LayerWork second = make_layer(cluster, make_routing({{{1}}, {{0}}, {}, {}}, 4, 1), kPairwise);
  second.layer = 1;
  const RanLayers ran = run_layers(cluster, {first, second}, make_communication(kPairwise));
  EXPECT_EQ(parts_us(cluster, ran, 1),
            (PartsUs{{"gate", 10},
                     {"launch_latency", 5 + 2 + 5},
                     {"sender", 10},
                     {"experts", 50},
                     {"combine", 22 + 3},
                     {"straggler_wait", 774}}));
}

// The same two layers as one step: the second layer's path without the wait, then rank 0's first
// layer (881, as in the first test): 988 in all.
TEST(Attribution, OfAStepFollowsTheRankThatIsWaitedFor) {
  const Cluster cluster = build_cluster(tiny_spec());
  const LayerWork first =
      make_layer(cluster, make_routing({{{1, 2}, {2, 3}}, {}, {}, {}}, 4, 2), kPairwise);
  LayerWork second = make_layer(cluster, make_routing({{{1}}, {{0}}, {}, {}}, 4, 1), kPairwise);
  second.layer = 1;
  const RanLayers ran = run_layers(cluster, {first, second}, make_communication(kPairwise));
  const std::vector<std::vector<double>> load = {dispatch_load(cluster, ran.graph, 0),
                                                 dispatch_load(cluster, ran.graph, 1)};
  EXPECT_EQ(whole_us(attribute_step(ran.graph, ran.times, ran.layers, cluster, load)),
            (PartsUs{{"gate", 10 + 10},
                     {"launch_latency", 12 + 14},
                     {"sender", 10 + 300},
                     {"experts", 50 + 50},
                     {"combine", 25 + 507}}));
}

TEST(Attribution, ALayerSpansFromItsFirstRankToItsLast) {
  const Cluster cluster = build_cluster(tiny_spec());
  LayerWork work = make_layer(cluster, make_routing({{}, {}, {}, {}}, 4, 1), kPairwise);
  work.compute.experts[2] = ticks(microseconds(90));
  const RanLayers ran = run_layers(cluster, {work}, make_communication(kPairwise));
  const LayerSpan span = layer_span(ran.layers[0], ran.times);
  EXPECT_EQ(span.first_start, SimTime{});
  EXPECT_EQ(span.last_rank, RankId{2});
  EXPECT_EQ(span.makespan(), ticks(microseconds(10 + 5 + 90 + 5 + 3)));
}

/// bottleneck_of the path from GPU 0 to `target` with each link of the path in turn the busiest.
std::vector<Bottleneck> bottlenecks(const ClusterSpec& spec, PathPolicy policy, GpuId target) {
  const Cluster cluster = build_cluster(spec);
  const Path path = PathFinder(cluster, policy, 1).find(GpuId{0}, target, 0);
  std::vector<Bottleneck> result;
  for (const LinkId busiest : path.links) {
    std::vector<double> load(cluster.links.size(), 1.0);
    load[busiest.index()] = 2.0;
    result.push_back(bottleneck_of(cluster, path.links, load));
  }
  return result;
}

constexpr Bottleneck kS = Bottleneck::kSender;
constexpr Bottleneck kF = Bottleneck::kFabric;
constexpr Bottleneck kR = Bottleneck::kReceiver;

TEST(BottleneckOf, InsideANodeOneLinkEach) {
  EXPECT_EQ(bottlenecks(tiny_spec(), PathPolicy::kEcmp, GpuId{1}), (std::vector{kS, kR}));
}

// PCIe, NIC up, NIC down, PCIe.
TEST(BottleneckOf, OverOneSwitchPcieAndNicOnEachSide) {
  EXPECT_EQ(bottlenecks(tiny_spec(), PathPolicy::kEcmp, GpuId{3}), (std::vector{kS, kS, kR, kR}));
}

TEST(BottleneckOf, LinksBetweenSwitchesAreTheFabric) {
  ClusterSpec spec = tiny_spec();
  spec.fabric.kind = FabricKind::kFatTree;
  EXPECT_EQ(bottlenecks(spec, PathPolicy::kEcmp, GpuId{3}), (std::vector{kS, kS, kF, kF, kR, kR}));
}

// Scale-up up and down, PCIe and NIC of the relay in the source's node; NIC and PCIe of the target.
TEST(BottleneckOf, AHopToTheRailIsOnTheSendersSide) {
  ClusterSpec spec = tiny_spec();
  spec.fabric.kind = FabricKind::kRail;
  spec.fabric.nodes_per_leaf = 2;
  EXPECT_EQ(bottlenecks(spec, PathPolicy::kRailAligned, GpuId{3}),
            (std::vector{kS, kS, kS, kS, kR, kR}));
}

TEST(BottleneckOf, TheFirstOfEquallyLoadedLinksWins) {
  const Cluster cluster = build_cluster(tiny_spec());
  const Path path = PathFinder(cluster, PathPolicy::kEcmp, 1).find(GpuId{0}, GpuId{3}, 0);
  EXPECT_EQ(bottleneck_of(cluster, path.links, std::vector<double>(cluster.links.size(), 1.0)), kS);
}

TEST(Part, EveryPartHasItsName) {
  std::string names;
  for (std::size_t i = 0; i < kNumParts; ++i) {
    names += std::string(part_name(static_cast<Part>(i))) + ' ';
  }
  EXPECT_EQ(names,
            "gate launch_latency sender hot_link receiver experts hot_expert combine "
            "straggler_wait ");
}

}  // namespace
}  // namespace moesim
