// SPDX-License-Identifier: Apache-2.0
#include "topology/builders.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "sim/core/diagnostics.hpp"
#include "tests/topology/cluster_fixtures.hpp"

namespace moesim {
namespace {

std::vector<std::string> names(const Cluster& cluster, VertexKind kind) {
  std::vector<std::string> found;
  for (const Vertex& vertex : cluster.vertices) {
    if (vertex.kind == kind) {
      found.push_back(vertex.name);
    }
  }
  return found;
}

const Link& link_named(const Cluster& cluster, const std::string& name) {
  for (std::size_t i = 0; i < cluster.links.size(); ++i) {
    if (cluster.link_name(id_at<LinkId>(i)) == name) {
      return cluster.links[i];
    }
  }
  throw std::runtime_error("no link " + name);
}

// 2 nodes x 2 GPUs, every NIC on one switch.
//   vertices: 4 GPUs, 2 scale-up switches, 4 NICs, 1 leaf = 11
//   links, both ways: 4 * 2 scale-up, 4 * 2 PCIe, 4 * 2 NIC = 24
TEST(BuildCluster, SingleSwitchHasOneLeafAndNoSpines) {
  const Cluster cluster = build_cluster(small_spec(FabricKind::kSingleSwitch, 2, 2, 32));
  EXPECT_EQ(cluster.vertices.size(), 11U);
  EXPECT_EQ(names(cluster, VertexKind::kLeaf), std::vector<std::string>{"switch"});
  EXPECT_EQ(count_vertices(cluster, VertexKind::kSpine), 0);
  EXPECT_EQ(cluster.links.size(), 24U);
  EXPECT_EQ(count_links(cluster, LinkKind::kFabric), 0);
  EXPECT_EQ(names(cluster, VertexKind::kScaleUpSwitch),
            (std::vector<std::string>{"domain0/switch", "domain1/switch"}));
}

TEST(BuildCluster, GpusAreNodeMajorAndKnowTheirPlace) {
  const Cluster cluster = build_cluster(small_spec(FabricKind::kSingleSwitch, 2, 2, 32));
  ASSERT_EQ(cluster.gpus.size(), 4U);
  EXPECT_EQ(cluster.num_domains, 2);
  EXPECT_EQ(cluster.gpus_per_domain, 2);
  const GpuPlace& last = cluster.place(GpuId{3});
  EXPECT_EQ(cluster.vertices[last.vertex.index()].name, "node1/gpu1");
  EXPECT_EQ(cluster.vertices[last.vertex.index()].node, 1);
  EXPECT_EQ(last.node, 1);
  EXPECT_EQ(last.domain, 1);
  EXPECT_EQ(last.index_in_domain, 1);
}

TEST(BuildCluster, LatencyIsSplitOverTheLinks) {
  const Cluster cluster = build_cluster(small_spec(FabricKind::kFatTree, 2, 1, 1));
  EXPECT_EQ(link_named(cluster, "node0/gpu0 -> node0/nic0").latency, seconds(0));
  EXPECT_EQ(link_named(cluster, "node0/nic0 -> pod0/leaf").latency, microseconds(2) / 2);
  EXPECT_EQ(link_named(cluster, "pod0/leaf -> spine0").latency, microseconds(0.3));
  EXPECT_EQ(link_named(cluster, "spine0 -> pod1/leaf").latency, microseconds(0.3));
  const Cluster pair = build_cluster(small_spec(FabricKind::kFatTree, 1, 2, 1));
  EXPECT_EQ(link_named(pair, "node0/gpu1 -> domain0/switch").latency, microseconds(1) / 2);
}

// Rails: 4 nodes x 2 GPUs, 2 nodes a leaf: 2 pods x 2 rails = 4 leaves.
//   A full leaf: 2 NICs * 10 GB/s = 20 GB/s down; 10 GB/s links: 2 uplinks, so 2 spines.
//   Vertices: 8 GPUs + 4 switches + 8 NICs + 4 leaves + 2 spines = 26
//   Links: (8 scale-up + 8 PCIe + 8 NIC + 4 * 2 fabric) * 2 = 64
TEST(BuildCluster, RailGivesEveryPodOneLeafPerRail) {
  const Cluster cluster = build_cluster(small_spec(FabricKind::kRail, 4, 2, 2));
  EXPECT_EQ(cluster.vertices.size(), 26U);
  EXPECT_EQ(cluster.links.size(), 64U);
  EXPECT_EQ(names(cluster, VertexKind::kLeaf),
            (std::vector<std::string>{
                "pod0/rail0/leaf", "pod0/rail1/leaf", "pod1/rail0/leaf", "pod1/rail1/leaf"}));
  EXPECT_EQ(names(cluster, VertexKind::kSpine), (std::vector<std::string>{"spine0", "spine1"}));
  EXPECT_EQ(link_named(cluster, "node3/nic1 -> pod1/rail1/leaf").capacity,
            gigabytes_per_second(10));
  EXPECT_EQ(link_named(cluster, "node1/nic0 -> pod0/rail0/leaf").kind, LinkKind::kNic);
}

TEST(BuildCluster, RailWithOnePodStillJoinsItsRailsBySpines) {
  const Cluster cluster = build_cluster(small_spec(FabricKind::kRail, 2, 2, 32));
  EXPECT_EQ(count_vertices(cluster, VertexKind::kLeaf), 2);
  EXPECT_EQ(count_vertices(cluster, VertexKind::kSpine), 2);
}

// Fat tree: 4 nodes x 2 NICs, 2 nodes a leaf: 2 leaves of 4 NICs, 40 GB/s down: 4 spines.
TEST(BuildCluster, FatTreePutsAllNicsOfANodeOnOneLeaf) {
  const Cluster cluster = build_cluster(small_spec(FabricKind::kFatTree, 4, 2, 2));
  EXPECT_EQ(names(cluster, VertexKind::kLeaf),
            (std::vector<std::string>{"pod0/leaf", "pod1/leaf"}));
  EXPECT_EQ(count_vertices(cluster, VertexKind::kSpine), 4);
  EXPECT_EQ(count_links(cluster, LinkKind::kFabric), 2 * 2 * 4);
  EXPECT_EQ(link_named(cluster, "node1/nic1 -> pod0/leaf").capacity, gigabytes_per_second(10));
}

TEST(BuildCluster, FatTreeWithOneLeafHasNoSpines) {
  EXPECT_EQ(
      count_vertices(build_cluster(small_spec(FabricKind::kFatTree, 2, 2, 2)), VertexKind::kSpine),
      0);
}

// 40 GB/s down at 3:1 is 13.33 GB/s up: ceil(1.33) = 2 uplinks of 40 / (3 * 2) = 6.67 GB/s.
TEST(PlanFabric, UplinksMakeTheOversubscriptionExact) {
  ClusterSpec spec = small_spec(FabricKind::kFatTree, 4, 2, 2);
  spec.fabric.oversubscription = 3.0;
  const FabricPlan plan = plan_fabric(spec);
  EXPECT_EQ(plan.spines, 2);
  EXPECT_DOUBLE_EQ(plan.uplink.value, 40e9 / 6);
  const Cluster cluster = build_cluster(spec);
  EXPECT_EQ(link_named(cluster, "pod0/leaf -> spine1").capacity, plan.uplink);
  EXPECT_EQ(link_named(cluster, "spine1 -> pod0/leaf").capacity, plan.uplink);
}

// 3 nodes, 32 a leaf: a full leaf holds 3 NICs (30 GB/s), not 32.
TEST(PlanFabric, AFullLeafOfASmallClusterHoldsAllItsNodes) {
  const FabricPlan plan = plan_fabric(small_spec(FabricKind::kRail, 3, 2, 32));
  EXPECT_EQ(plan.pods, 1);
  EXPECT_EQ(plan.spines, 3);
}

// 5 nodes, 2 a leaf: pods of 2, 2 and 1 nodes. The last leaf keeps both uplinks.
TEST(PlanFabric, ALastLeafWithFewerNodesKeepsItsUplinks) {
  const Cluster cluster = build_cluster(small_spec(FabricKind::kRail, 5, 1, 2));
  EXPECT_EQ(names(cluster, VertexKind::kLeaf),
            (std::vector<std::string>{"pod0/rail0/leaf", "pod1/rail0/leaf", "pod2/rail0/leaf"}));
  EXPECT_EQ(link_named(cluster, "pod2/rail0/leaf -> spine1").capacity, gigabytes_per_second(10));
}

// NVL72: 2 racks of 18 nodes x 4 GPUs = 144 GPUs in 2 domains of 72, one switch vertex each.
TEST(BuildCluster, AScaleUpDomainSpansItsNodes) {
  ClusterSpec spec = small_spec(FabricKind::kRail, 36, 4, 18);
  spec.scale_up.nodes_per_domain = 18;
  const Cluster cluster = build_cluster(spec);
  EXPECT_EQ(cluster.num_domains, 2);
  EXPECT_EQ(cluster.gpus_per_domain, 72);
  EXPECT_EQ(count_vertices(cluster, VertexKind::kScaleUpSwitch), 2);
  EXPECT_EQ(count_links(cluster, LinkKind::kScaleUp), 2 * 144);
  const GpuPlace& gpu = cluster.place(GpuId{19 * 4 + 3});  // node 19, GPU 3
  EXPECT_EQ(gpu.node, 19);
  EXPECT_EQ(gpu.domain, 1);
  EXPECT_EQ(gpu.index_in_domain, 7);
  EXPECT_EQ(link_named(cluster, "node17/gpu3 -> domain0/switch").kind, LinkKind::kScaleUp);
  EXPECT_EQ(link_named(cluster, "node18/gpu0 -> domain1/switch").kind, LinkKind::kScaleUp);
}

TEST(BuildCluster, GpusShareANicInOrder) {
  ClusterSpec spec = small_spec(FabricKind::kRail, 1, 4, 1);
  spec.nic.per_node = 2;
  const Cluster cluster = build_cluster(spec);
  EXPECT_EQ(link_named(cluster, "node0/gpu1 -> node0/nic0").kind, LinkKind::kPcie);
  EXPECT_EQ(link_named(cluster, "node0/gpu2 -> node0/nic1").kind, LinkKind::kPcie);
  EXPECT_EQ(count_links(cluster, LinkKind::kPcie), 8);
}

TEST(BuildCluster, WithoutScaleUpEveryGpuIsADomainOfItsOwn) {
  ClusterSpec spec = small_spec(FabricKind::kRail, 2, 2, 1);
  spec.scale_up.bandwidth = {};
  const Cluster cluster = build_cluster(spec);
  EXPECT_EQ(cluster.num_domains, 4);
  EXPECT_EQ(cluster.gpus_per_domain, 1);
  EXPECT_EQ(count_vertices(cluster, VertexKind::kScaleUpSwitch), 0);
  const Cluster single = build_cluster(small_spec(FabricKind::kRail, 2, 1, 1));
  EXPECT_EQ(count_vertices(single, VertexKind::kScaleUpSwitch), 0);
}

TEST(BuildCluster, WithoutNicsThereIsNoFabric) {
  ClusterSpec spec = small_spec(FabricKind::kRail, 2, 2, 1);
  spec.nic = {};
  const Cluster cluster = build_cluster(spec);
  EXPECT_EQ(cluster.vertices.size(), 4U + 2U);
  EXPECT_EQ(count_links(cluster, LinkKind::kScaleUp), 8);
  EXPECT_EQ(cluster.links.size(), 8U);
}

// 2 leaves * 10 GB/s / 1 B/s = 10^10 uplinks each, times 2 for both directions, plus
// 2 GPUs * 4 + 2 NICs * 2.
TEST(BuildCluster, AFabricOfTooManyLinksIsTheUsersMistake) {
  ClusterSpec spec = small_spec(FabricKind::kFatTree, 2, 1, 1);
  spec.fabric.link_bandwidth = {1.0};
  try {
    (void)build_cluster(spec);
    FAIL() << "built";
  } catch (const UserError& error) {
    EXPECT_STREQ(error.what(),
                 "error: cluster \"small\" needs 4e+10 links, at most 20000000 are allowed; fewer "
                 "nodes, or a higher fabric.link_bandwidth or fabric.nodes_per_leaf");
  }
}

TEST(UsableCapacities, AreNominalTimesHealth) {
  Cluster cluster = build_cluster(small_spec(FabricKind::kSingleSwitch, 1, 2, 1));
  cluster.links[1].health = 0.25;
  cluster.links[2].health = 0;
  const std::vector<BytesPerSecond> usable = usable_capacities(cluster);
  ASSERT_EQ(usable.size(), cluster.links.size());
  EXPECT_EQ(usable[0], cluster.links[0].capacity);
  EXPECT_EQ(usable[1], cluster.links[1].capacity * 0.25);
  EXPECT_EQ(usable[2].value, 0);
}

TEST(KindNames, AreTheWordsOfTheExports) {
  EXPECT_EQ(to_text(VertexKind::kScaleUpSwitch), "scale_up_switch");
  EXPECT_EQ(to_text(VertexKind::kCore), "core");
  EXPECT_EQ(to_text(LinkKind::kFabric), "fabric");
}

}  // namespace
}  // namespace moesim
