// SPDX-License-Identifier: Apache-2.0
// The larger fabrics, path choices, faults and cuts, each with a number derived by hand.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "sim/core/diagnostics.hpp"
#include "tests/topology/cluster_fixtures.hpp"
#include "topology/builders.hpp"
#include "topology/cuts.hpp"
#include "topology/faults.hpp"
#include "topology/name_pattern.hpp"
#include "topology/paths.hpp"
#include "topology/summary.hpp"

namespace moesim {
namespace {

constexpr GpuId gpu(int i) {
  return GpuId{i};
}

double rate_of(const Cluster& cluster, const std::string& name) {
  for (std::size_t i = 0; i < cluster.links.size(); ++i) {
    if (cluster.link_name(id_at<LinkId>(i)) == name) {
      return cluster.links[i].usable().value;
    }
  }
  return -1;
}

/// 8 nodes of one GPU, 2 a leaf, 2 leaves a block: 2 blocks.
ClusterSpec three_tiers() {
  ClusterSpec spec = small_spec(FabricKind::kFatTree, 8, 1, 2);
  spec.fabric.tiers = 3;
  spec.fabric.pods_per_block = 2;
  spec.fabric.core_oversubscription = 4;
  return spec;
}

// A leaf has 20 GB/s down, so 2 spines a block. A spine has 2 * 10 GB/s down and 20 / 4 = 5 GB/s
// up: one core each, 2 cores. Between the halves: 2 spines * 5 GB/s.
TEST(ThreeTiers, CoresAreOversubscribedAsAsked) {
  const Cluster cluster = build_cluster(three_tiers());
  EXPECT_EQ(count_vertices(cluster, VertexKind::kSpine), 4);
  EXPECT_EQ(count_vertices(cluster, VertexKind::kCore), 2);
  EXPECT_EQ(rate_of(cluster, "block1/spine1 -> core1"), 5e9);
  EXPECT_EQ(rate_of(cluster, "block1/spine1 -> core0"), -1);
  EXPECT_EQ(bisection(cluster), gigabytes_per_second(10));
  // PCIe, NIC, leaf-spine, spine-core and back.
  EXPECT_EQ(PathFinder(cluster, PathPolicy::kEcmp, 1).find(gpu(0), gpu(7), 0).links.size(), 8U);
}

// 6 nodes, one a leaf, 2 leaves a group: 3 groups of 1 spine (10 GB/s a leaf). A spine has 20 GB/s
// down, 20 / 1 up, to each of 2 other groups 10 GB/s: one cable. Two GPUs of a group to two of
// another share one global link of 10 GB/s.
TEST(DragonflyPlus, EveryTwoGroupsShareTheGlobalCapacity) {
  ClusterSpec spec = small_spec(FabricKind::kDragonflyPlus, 6, 1, 1);
  spec.fabric.pods_per_block = 2;
  const Cluster cluster = build_cluster(spec);
  EXPECT_EQ(count_vertices(cluster, VertexKind::kSpine), 3);
  EXPECT_EQ(rate_of(cluster, "group0/spine0 -> group2/spine0"), 10e9);
  EXPECT_EQ(PathFinder(cluster, PathPolicy::kEcmp, 1).find(gpu(0), gpu(5), 0).links.size(), 7U);
  // Nodes 0 to 2 against 3 to 5: group 0 sends 10 to group 2 and 10 to node 3, node 2 sends 10 to
  // group 2.
  EXPECT_EQ(bisection(cluster), gigabytes_per_second(30));
  spec.fabric.link_bandwidth = gigabytes_per_second(5);  // 2 spines of 5 GB/s, 5 each a group
  const Cluster thin = build_cluster(spec);
  EXPECT_EQ(rate_of(thin, "group0/spine1 -> group1/spine1"), 5e9);
}

ClusterSpec torus(int x, int y, int z) {
  ClusterSpec spec = small_spec(FabricKind::kTorus, x * y * z, 1, 1);
  spec.fabric.torus = {x, y, z};
  return spec;
}

// From (0,0,0) to (2,1,0) of 4 x 3 x 2: 2 hops along x, 1 along y, and 4 links at the ends.
TEST(Torus, PathsAreShortestAndStaticOnesGoByDimension) {
  const Cluster cluster = build_cluster(torus(4, 3, 2));
  // Links: 24 along x, 24 along y, 12 along z (rings of two are one cable), both ways.
  EXPECT_EQ(count_links(cluster, LinkKind::kFabric), 2 * (24 + 24 + 12));
  const int target = 2 + 4 * 1;
  const PathFinder finder(cluster, PathPolicy::kEcmp, 1, {.choice = PathChoice::kStatic});
  const Path path = finder.find(gpu(0), gpu(target), 0);
  ASSERT_EQ(path.links.size(), 4U + 3U);
  EXPECT_EQ(cluster.link_name(path.links[2]), "router0.0.0 -> router1.0.0");
  EXPECT_EQ(cluster.link_name(path.links[3]), "router1.0.0 -> router2.0.0");
  EXPECT_EQ(cluster.link_name(path.links[4]), "router2.0.0 -> router2.1.0");
  // Two ways round along x, each in 3 orders with y: 6 shortest paths.
  const PathFinder spray(cluster, PathPolicy::kEcmp, 1, {PathChoice::kSpray, 64});
  EXPECT_EQ(spray.find_all(gpu(0), gpu(target), 0).size(), 6U);
}

// 4 x 2: halves along x are joined by 2 rings * 2 cables = 4 cables of 10 GB/s; the 4 NICs of a
// half give 40 GB/s too. Halves along y (nodes 0-3): 4 cables.
TEST(Torus, BisectionIsTheCablesBetweenTheHalves) {
  ClusterSpec spec = torus(4, 2, 1);
  spec.nic.bandwidth = gigabytes_per_second(100);
  spec.nic.pcie_bandwidth = gigabytes_per_second(100);
  EXPECT_EQ(bisection(build_cluster(spec)), gigabytes_per_second(40));
}

TEST(RailOnly, JoinsOtherRailsOnlyByForwarding) {
  const Cluster cluster = build_cluster(small_spec(FabricKind::kRailOnly, 4, 2, 2));
  EXPECT_EQ(PathFinder(cluster, PathPolicy::kEcmp, 1).find(gpu(0), gpu(6), 0).links.size(), 6U);
  EXPECT_EQ(PathFinder(cluster, PathPolicy::kRailAligned, 1).find(gpu(0), gpu(7), 0).links.size(),
            8U);
  EXPECT_THROW((void)PathFinder(cluster, PathPolicy::kEcmp, 1).find(gpu(0), gpu(7), 0), UserError);
}

// Two ports of 5 GB/s, each on a switch of its own: an adaptive transfer takes both, two thirds on
// the plane that is whole when the other has half.
TEST(Planes, APortIsAPlane) {
  ClusterSpec spec = small_spec(FabricKind::kSingleSwitch, 2, 1, 1);
  spec.nic.ports = 2;
  Cluster cluster = build_cluster(spec);
  EXPECT_EQ(rate_of(cluster, "node0/nic0 -> plane1/switch"), 5e9);
  ASSERT_TRUE(apply_faults(cluster, {.switches = {"plane1/switch: 0.5"}}).mistakes.empty());
  const PathFinder adaptive(cluster, PathPolicy::kEcmp, 1, {PathChoice::kAdaptive, 8});
  std::vector<double> shares;
  for (const PathShare& part : adaptive.find_all(gpu(0), gpu(1), 0)) {
    shares.push_back(part.share);
  }
  std::sort(shares.begin(), shares.end());
  ASSERT_EQ(shares.size(), 2U);
  EXPECT_DOUBLE_EQ(shares[0], 1.0 / 3);
  EXPECT_DOUBLE_EQ(shares[1], 2.0 / 3);
}

/// 4 GPUs, 2 a PCIe switch, a socket each, 2 NICs: NIC 0 under switch 0, NIC 1 under switch 1.
ClusterSpec pcie_nodes() {
  ClusterSpec spec = small_spec(FabricKind::kSingleSwitch, 2, 4, 1);
  spec.scale_up.kind = ScaleUpKind::kPcie;
  spec.scale_up.gpus_per_switch = 2;
  spec.scale_up.sockets = 2;
  spec.scale_up.socket_bandwidth = gigabytes_per_second(30);
  spec.nic.per_node = 2;
  return spec;
}

// Under one switch 2 links; over both sockets GPU, switch, socket, socket, switch, GPU: 5 links.
TEST(PcieNode, GpusMeetInSwitchesAndSockets) {
  const Cluster cluster = build_cluster(pcie_nodes());
  const PathFinder finder(cluster, PathPolicy::kEcmp, 1);
  EXPECT_EQ(finder.find(gpu(0), gpu(1), 0).links.size(), 2U);
  EXPECT_EQ(finder.find(gpu(0), gpu(3), 0).links.size(), 5U);
  EXPECT_EQ(rate_of(cluster, "node0/socket0 -> node0/socket1"), 30e9);
  // GPU, switch, NIC, switch of the fabric and back: 6 links.
  EXPECT_EQ(finder.find(gpu(1), gpu(5), 0).links.size(), 6U);
}

TEST(PcieNode, UsesTheOtherSocketsNicWhenItsOwnIsDown) {
  Cluster cluster = build_cluster(pcie_nodes());
  ASSERT_TRUE(apply_faults(cluster, {.nics = {"node0/nic0: down"}}).mistakes.empty());
  const Path path = PathFinder(cluster, PathPolicy::kEcmp, 1).find(gpu(0), gpu(4), 0);
  EXPECT_EQ(path.links.size(), 9U);  // switch, socket, socket, switch, NIC, leaf, NIC, switch, GPU
}

TEST(NicSpeeds, TheLastRuleThatFitsCounts) {
  ClusterSpec spec = small_spec(FabricKind::kSingleSwitch, 3, 2, 1);
  spec.nic.speeds = {"node[1-2]/*: 5 GB/s", "node2/nic1: 20 GB/s"};
  const Cluster cluster = build_cluster(spec);
  EXPECT_EQ(rate_of(cluster, "node0/nic1 -> switch"), 10e9);
  EXPECT_EQ(rate_of(cluster, "node1/nic0 -> switch"), 5e9);
  EXPECT_EQ(rate_of(cluster, "switch -> node2/nic1"), 20e9);
}

TEST(NamePattern, StarsAndRanges) {
  EXPECT_TRUE(matches("node[2-11]/nic*", "node10/nic3"));
  EXPECT_FALSE(matches("node[2-11]/nic*", "node12/nic3"));
  EXPECT_TRUE(matches("*", ""));
  EXPECT_TRUE(matches("*/nic[0-1]", "node7/nic1"));
  EXPECT_FALSE(matches("node1", "node10"));
  EXPECT_FALSE(matches("node[a-b]", "nodea"));
}

TEST(RailAligned, GoesRoundANicThatIsDownOverAnotherGpu) {
  Cluster cluster = build_cluster(small_spec(FabricKind::kRail, 2, 2, 2));
  ASSERT_TRUE(apply_faults(cluster, {.nics = {"node1/nic0: down"}}).mistakes.empty());
  // GPU 0 -> node1/gpu0 over rail 1: scale-up, NIC, leaf, NIC, scale-up.
  EXPECT_EQ(PathFinder(cluster, PathPolicy::kRailAligned, 1).find(gpu(0), gpu(2), 0).links.size(),
            8U);
  try {
    (void)PathFinder(cluster, PathPolicy::kEcmp, 1).find(gpu(0), gpu(2), 0);
    FAIL() << "found";
  } catch (const UserError& error) {
    EXPECT_STREQ(error.what(),
                 "error: no path from node0/gpu0 to node1/gpu0: every path crosses a link that is "
                 "down: pod0/rail0/leaf -> node1/nic0");
  }
}

TEST(Faults, MultiplyAndAreReported) {
  Cluster cluster = build_cluster(small_spec(FabricKind::kSingleSwitch, 2, 1, 1));
  const FaultOutcome outcome = apply_faults(cluster,
                                            {.links = {"node0/nic0 -> switch: 0.5"},
                                             .nics = {"node0/nic0: 0.8"},
                                             .gpus = {"node1/gpu0: 0.25"},
                                             .background = {"node0/nic0 -> switch: 1 GB/s"}});
  EXPECT_EQ(outcome.hits,
            (std::vector<std::string>{"link node0/nic0 -> switch is at 50 %",
                                      "nic node0/nic0 is at 80 %",
                                      "gpu node1/gpu0 computes at 25 %",
                                      "link node0/nic0 -> switch carries 1 GB/s of others"}));
  EXPECT_DOUBLE_EQ(rate_of(cluster, "node0/nic0 -> switch"), 3e9);
  EXPECT_DOUBLE_EQ(rate_of(cluster, "switch -> node0/nic0"), 8e9);
  EXPECT_EQ(cluster.place(gpu(1)).speed, 0.25);
}

// 64 NICs at 0.25: 16 on average, standard deviation sqrt(64 * 3 / 16) = 3.5; four of them are 14.
TEST(Faults, AHigherRateHitsTheSameNicsAndMore) {
  std::set<std::string> few;
  std::set<std::string> many;
  for (auto [rate, hits] : {std::pair(0.25, &few), std::pair(0.5, &many)}) {
    Cluster cluster = build_cluster(small_spec(FabricKind::kRail, 8, 8, 4));
    for (const std::string& hit :
         apply_faults(cluster, {.random_nics = rate, .random_remaining = 0, .seed = 3}).hits) {
      hits->insert(hit);
    }
  }
  EXPECT_NEAR(static_cast<double>(few.size()), 16, 14);
  EXPECT_GT(many.size(), few.size());
  EXPECT_TRUE(std::includes(many.begin(), many.end(), few.begin(), few.end()));
}

// 4 nodes of one GPU, 10 GB/s NICs, one a leaf, 2:1: a leaf has 5 GB/s up. One GPU against 3 others
// at 1 GB a pair: 3 GB / 10 GB/s (its NIC); halves: 2 * 2 GB / (2 * 5 GB/s) = 0.4 s.
TEST(Cuts, TheSlowestBoundsAnAllToAll) {
  ClusterSpec spec = small_spec(FabricKind::kFatTree, 4, 1, 1);
  spec.fabric.oversubscription = 2;
  const std::vector<Cut> cuts = slowest_cuts(build_cluster(spec), gigabytes(1));
  const auto named = [&](const std::string& name) {
    return *std::find_if(cuts.begin(), cuts.end(), [&](auto& cut) { return cut.name == name; });
  };
  EXPECT_DOUBLE_EQ(named("domains 0 to 1 out").all_to_all.value, 0.4);
  EXPECT_DOUBLE_EQ(named("domain 0 out").all_to_all.value, 0.6);  // by max-flow: the leaf's 5 GB/s
  EXPECT_DOUBLE_EQ(named("GPU node0/gpu0 out").all_to_all.value, 0.15);  // its 20 GB/s PCIe link
  EXPECT_DOUBLE_EQ(cuts.front().all_to_all.value, 0.6);
  std::set<std::string> names;
  for (const Cut& cut : cuts) {
    EXPECT_TRUE(names.insert(cut.name).second) << cut.name;
  }
}

}  // namespace
}  // namespace moesim
