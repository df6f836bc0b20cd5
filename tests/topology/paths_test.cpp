// SPDX-License-Identifier: Apache-2.0
#include "topology/paths.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "sim/core/diagnostics.hpp"
#include "tests/topology/cluster_fixtures.hpp"
#include "topology/builders.hpp"

namespace moesim {
namespace {

constexpr GpuId gpu(int i) {
  return GpuId{i};
}

/// The vertices a path visits, in order.
std::vector<std::string> stops(const Cluster& cluster, const Path& path) {
  std::vector<std::string> names;
  for (const LinkId id : path.links) {
    const Link& link = cluster.link(id);
    if (names.empty()) {
      names.push_back(cluster.vertices[link.source.index()].name);
    }
    names.push_back(cluster.vertices[link.target.index()].name);
  }
  return names;
}

std::string failure(const Cluster& cluster, GpuId source, GpuId target, PathScope scope) {
  try {
    (void)PathFinder(cluster, PathPolicy::kEcmp, 1).find(source, target, 0, scope);
  } catch (const UserError& error) {
    return error.what();
  }
  return "a path was found";
}

using Stops = std::vector<std::string>;

TEST(PathFinder, AGpuReachesItselfWithoutLinks) {
  const Cluster cluster = build_cluster(small_spec(FabricKind::kRail, 2, 2, 1));
  const Path path = PathFinder(cluster, PathPolicy::kEcmp, 1).find(gpu(1), gpu(1), 0);
  EXPECT_TRUE(path.links.empty());
  EXPECT_EQ(path.latency, seconds(0));
}

// 0.5 + 0.5 us.
TEST(PathFinder, InsideADomainThePathIsTheScaleUpSwitch) {
  const Cluster cluster = build_cluster(small_spec(FabricKind::kRail, 2, 2, 1));
  for (const PathPolicy policy : {PathPolicy::kEcmp, PathPolicy::kRailAligned}) {
    const Path path = PathFinder(cluster, policy, 1).find(gpu(2), gpu(3), 0);
    EXPECT_EQ(stops(cluster, path), (Stops{"node1/gpu0", "domain1/switch", "node1/gpu1"}));
    EXPECT_DOUBLE_EQ(path.latency.value, 1e-6);
  }
}

// Same rail, same pod: 0 + 1 + 1 + 0 us.
TEST(PathFinder, OneRailOfAPodIsOneLeafAway) {
  const Cluster cluster = build_cluster(small_spec(FabricKind::kRail, 2, 2, 2));
  const Path path = PathFinder(cluster, PathPolicy::kEcmp, 1).find(gpu(1), gpu(3), 0);
  EXPECT_EQ(stops(cluster, path),
            (Stops{"node0/gpu1", "node0/nic1", "pod0/rail1/leaf", "node1/nic1", "node1/gpu1"}));
  EXPECT_DOUBLE_EQ(path.latency.value, 2e-6);
}

// Other rail: through a spine, 1 + 0.3 + 0.3 + 1 us. One uplink a leaf, so one spine.
TEST(PathFinder, EcmpCrossesRailsThroughASpine) {
  const Cluster cluster = build_cluster(small_spec(FabricKind::kRail, 2, 2, 1));
  const Path path = PathFinder(cluster, PathPolicy::kEcmp, 1).find(gpu(0), gpu(3), 0);
  EXPECT_EQ(stops(cluster, path),
            (Stops{"node0/gpu0",
                   "node0/nic0",
                   "pod0/rail0/leaf",
                   "spine0",
                   "pod1/rail1/leaf",
                   "node1/nic1",
                   "node1/gpu1"}));
  EXPECT_DOUBLE_EQ(path.latency.value, 2.6e-6);
}

// The same pair over the relay node0/gpu1: 0.5 + 0.5 + 1 + 1 us and no spine.
TEST(PathFinder, RailAlignedTakesTheScaleUpHopToTheDestinationsRail) {
  const Cluster cluster = build_cluster(small_spec(FabricKind::kRail, 2, 2, 2));
  const Path path = PathFinder(cluster, PathPolicy::kRailAligned, 1).find(gpu(0), gpu(3), 0);
  EXPECT_EQ(stops(cluster, path),
            (Stops{"node0/gpu0",
                   "domain0/switch",
                   "node0/gpu1",
                   "node0/nic1",
                   "pod0/rail1/leaf",
                   "node1/nic1",
                   "node1/gpu1"}));
  EXPECT_DOUBLE_EQ(path.latency.value, 3e-6);
}

TEST(PathFinder, RailAlignedNeedsNoRelayOnTheSameRail) {
  const Cluster cluster = build_cluster(small_spec(FabricKind::kRail, 2, 2, 2));
  const PathFinder ecmp(cluster, PathPolicy::kEcmp, 1);
  const PathFinder aligned(cluster, PathPolicy::kRailAligned, 1);
  EXPECT_EQ(aligned.find(gpu(1), gpu(3), 7).links, ecmp.find(gpu(1), gpu(3), 7).links);
}

// Two racks of 2 nodes x 2 GPUs. node1/gpu0 -> node3/gpu1: the relay is on the source's node.
TEST(PathFinder, TheRelayOfAMultiNodeDomainIsOnTheSourcesNode) {
  ClusterSpec spec = small_spec(FabricKind::kRail, 4, 2, 4);
  spec.scale_up.nodes_per_domain = 2;
  const Cluster cluster = build_cluster(spec);
  const PathFinder finder(cluster, PathPolicy::kRailAligned, 1);
  EXPECT_EQ(stops(cluster, finder.find(gpu(2), gpu(7), 0)),
            (Stops{"node1/gpu0",
                   "domain0/switch",
                   "node1/gpu1",
                   "node1/nic1",
                   "pod0/rail1/leaf",
                   "node3/nic1",
                   "node3/gpu1"}));
  EXPECT_EQ(stops(cluster, finder.find(gpu(0), gpu(3), 0)),
            (Stops{"node0/gpu0", "domain0/switch", "node1/gpu1"}));
}

// 4 GPUs on 2 NICs: GPUs 2 and 3 are rail 1. gpu0 -> node1/gpu3 relays over node0/gpu3, the GPU at
// the destination's place among those of its rail.
TEST(PathFinder, TheRelaySharesTheDestinationsPlaceOnItsNic) {
  ClusterSpec spec = small_spec(FabricKind::kRail, 2, 4, 2);
  spec.nic.per_node = 2;
  const Cluster cluster = build_cluster(spec);
  const Path path = PathFinder(cluster, PathPolicy::kRailAligned, 1).find(gpu(0), gpu(7), 0);
  EXPECT_EQ(stops(cluster, path),
            (Stops{"node0/gpu0",
                   "domain0/switch",
                   "node0/gpu3",
                   "node0/nic1",
                   "pod0/rail1/leaf",
                   "node1/nic1",
                   "node1/gpu3"}));
}

TEST(PathFinder, RailAlignedGoesDirectWhenTheRelaysNicIsDown) {
  Cluster cluster = build_cluster(small_spec(FabricKind::kRail, 2, 2, 2));
  ASSERT_EQ(take_down(cluster, "node0/nic1 -> pod0"), 1);
  const Path path = PathFinder(cluster, PathPolicy::kRailAligned, 1).find(gpu(0), gpu(3), 0);
  EXPECT_EQ(path.links.size(), 6U);
  EXPECT_EQ(stops(cluster, path)[2], "pod0/rail0/leaf");
}

TEST(PathFinder, RailAlignedGoesDirectWithoutScaleUp) {
  ClusterSpec spec = small_spec(FabricKind::kRail, 2, 2, 1);
  spec.scale_up.bandwidth = {};
  const Cluster cluster = build_cluster(spec);
  const Path path = PathFinder(cluster, PathPolicy::kRailAligned, 1).find(gpu(0), gpu(3), 0);
  EXPECT_EQ(path.links.size(), 6U);
  const Path same_node = PathFinder(cluster, PathPolicy::kRailAligned, 1).find(gpu(0), gpu(1), 0);
  EXPECT_EQ(stops(cluster, same_node)[1], "node0/nic0");
}

TEST(PathFinder, ScaleOutOnlyUsesTheNicsInsideADomain) {
  const Cluster cluster = build_cluster(small_spec(FabricKind::kSingleSwitch, 2, 2, 1));
  for (const PathPolicy policy : {PathPolicy::kEcmp, PathPolicy::kRailAligned}) {
    const PathFinder finder(cluster, policy, 1);
    EXPECT_EQ(stops(cluster, finder.find(gpu(0), gpu(1), 0, PathScope::kScaleOutOnly)),
              (Stops{"node0/gpu0", "node0/nic0", "switch", "node0/nic1", "node0/gpu1"}));
  }
}

TEST(PathFinder, ScaleOutOnlyTurnsAroundInASharedNic) {
  ClusterSpec spec = small_spec(FabricKind::kSingleSwitch, 1, 2, 1);
  spec.nic.per_node = 1;
  Cluster cluster = build_cluster(spec);
  ASSERT_EQ(take_down(cluster, "nic0 -> switch"), 1);
  const PathFinder finder(cluster, PathPolicy::kEcmp, 1);
  EXPECT_EQ(stops(cluster, finder.find(gpu(0), gpu(1), 0, PathScope::kScaleOutOnly)),
            (Stops{"node0/gpu0", "node0/nic0", "node0/gpu1"}));
}

TEST(PathFinder, EcmpAvoidsALinkThatIsDown) {
  Cluster cluster = build_cluster(small_spec(FabricKind::kFatTree, 4, 2, 2));
  ASSERT_EQ(take_down(cluster, "pod0/leaf -> spine1"), 1);
  ASSERT_EQ(take_down(cluster, "spine2 -> pod1/leaf"), 1);
  const PathFinder finder(cluster, PathPolicy::kEcmp, 1);
  std::set<std::string> spines;
  for (std::uint64_t key = 0; key < 200; ++key) {
    spines.insert(stops(cluster, finder.find(gpu(0), gpu(4), key))[3]);
  }
  EXPECT_EQ(spines, (std::set<std::string>{"spine0", "spine3"}));
}

TEST(PathFinder, SaysThatThereIsNoScaleOutNetwork) {
  ClusterSpec spec = small_spec(FabricKind::kRail, 2, 2, 1);
  spec.nic = {};
  const Cluster cluster = build_cluster(spec);
  EXPECT_EQ(failure(cluster, gpu(0), gpu(2), PathScope::kAny),
            "error: no path from node0/gpu0 to node1/gpu0: the cluster has no scale-out network");
  EXPECT_EQ(failure(cluster, gpu(0), gpu(1), PathScope::kScaleOutOnly),
            "error: no path from node0/gpu0 to node0/gpu1: the cluster has no scale-out network");
}

TEST(PathFinder, SaysThatEveryPathIsDown) {
  Cluster cluster = build_cluster(small_spec(FabricKind::kRail, 2, 2, 1));
  ASSERT_EQ(take_down(cluster, "node0/nic0 -> pod0"), 1);
  EXPECT_EQ(failure(cluster, gpu(0), gpu(2), PathScope::kAny),
            "error: no path from node0/gpu0 to node1/gpu0: every path crosses a link that is down: "
            "node0/nic0 -> pod0/rail0/leaf");
  EXPECT_EQ(failure(cluster, gpu(1), gpu(3), PathScope::kAny), "a path was found");
}

TEST(PathFinder, DoesNotLeaveTheScaleUpNetworkInsideADomain) {
  Cluster cluster = build_cluster(small_spec(FabricKind::kRail, 2, 2, 1));
  ASSERT_EQ(take_down(cluster, "domain0/switch -> node0/gpu1"), 1);
  EXPECT_EQ(failure(cluster, gpu(0), gpu(1), PathScope::kAny),
            "error: no path from node0/gpu0 to node0/gpu1: every path crosses a link that is down: "
            "domain0/switch -> node0/gpu1");
}

TEST(PathFinder, SaysThatNoLinksJoinTwoHalvesOfAHandMadeCluster) {
  Cluster cluster = build_cluster(small_spec(FabricKind::kFatTree, 2, 1, 1));
  std::erase_if(cluster.links, [](const Link& link) { return link.kind == LinkKind::kFabric; });
  EXPECT_EQ(failure(cluster, gpu(0), gpu(1), PathScope::kAny),
            "error: no path from node0/gpu0 to node1/gpu0: no links join them");
}

// 40000 nodes on a leaf each: 40000 * 40001 * 2 B = 3.2 GB of hop counts.
TEST(PathFinder, RefusesTablesThatWouldNotFitInMemory) {
  const Cluster cluster = build_cluster(small_spec(FabricKind::kFatTree, 40000, 1, 1));
  try {
    const PathFinder finder(cluster, PathPolicy::kEcmp, 1);
    FAIL() << "built";
  } catch (const UserError& error) {
    EXPECT_STREQ(error.what(),
                 "error: path tables of 40000 leaves and 40001 switches would need 3.2 GB, at most "
                 "1 GB are allowed; raise fabric.nodes_per_leaf");
  }
}

}  // namespace
}  // namespace moesim
