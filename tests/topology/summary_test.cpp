// SPDX-License-Identifier: Apache-2.0
#include "topology/summary.hpp"

#include <gtest/gtest.h>

#include "tests/topology/cluster_fixtures.hpp"
#include "topology/builders.hpp"

namespace moesim {
namespace {

// 4 nodes x 2 GPUs, rails of 2 nodes at 2:1: 4 leaves, 20 GB/s down and 10 GB/s up each.
//   injection: 8 * 100 GB/s scale-up, 8 * 20 PCIe, 8 * 10 NIC; leaf up: 4 * 10
TEST(Summarise, CountsAndAddsUpTheTiers) {
  ClusterSpec spec = small_spec(FabricKind::kRail, 4, 2, 2);
  spec.fabric.oversubscription = 2.0;
  const TopologySummary summary = summarise(build_cluster(spec));
  // By kind: GPU, scale-up switch, NIC, leaf, spine, core; scale-up, PCIe, NIC, fabric.
  EXPECT_EQ(summary.vertices, (std::array<int, kNumVertexKinds>{8, 4, 8, 4, 1, 0}));
  EXPECT_EQ(summary.links, (std::array<int, kNumLinkKinds>{16, 16, 16, 8}));
  EXPECT_EQ(summary.scale_up_injection, gigabytes_per_second(800));
  EXPECT_EQ(summary.pcie_injection, gigabytes_per_second(160));
  EXPECT_EQ(summary.nic_injection, gigabytes_per_second(80));
  EXPECT_EQ(summary.leaf_up, gigabytes_per_second(40));
  EXPECT_EQ(summary.oversubscription, 2.0);
  EXPECT_EQ(summary.links_down, 0);
  EXPECT_EQ(summary.links_degraded, 0);
}

TEST(Summarise, CountsFaultsAndUsesWhatIsLeft) {
  Cluster cluster = build_cluster(small_spec(FabricKind::kSingleSwitch, 2, 1, 1));
  ASSERT_EQ(take_down(cluster, "node0/nic0 -> switch"), 1);
  cluster.links[1].health = 0.5;  // node0/nic0 -> node0/gpu0
  const TopologySummary summary = summarise(cluster);
  EXPECT_EQ(summary.links_down, 1);
  EXPECT_EQ(summary.links_degraded, 1);
  EXPECT_EQ(summary.nic_injection, gigabytes_per_second(10));
  EXPECT_EQ(summary.oversubscription, std::nullopt);
  EXPECT_EQ(summary.bisection, gigabytes_per_second(0));
}

TEST(Summarise, ASingleDomainHasNoBisection) {
  EXPECT_EQ(summarise(build_cluster(small_spec(FabricKind::kRail, 1, 2, 1))).bisection,
            std::nullopt);
}

// 2 of 4 nodes on each side, 2 NICs of 10 GB/s each: 40 GB/s, in one pod as in two.
TEST(Bisection, OfAFullFabricIsHalfOfAllNics) {
  for (const FabricKind kind :
       {FabricKind::kSingleSwitch, FabricKind::kRail, FabricKind::kFatTree}) {
    for (const int nodes_per_leaf : {1, 2, 4}) {
      EXPECT_EQ(bisection(build_cluster(small_spec(kind, 4, 2, nodes_per_leaf))),
                gigabytes_per_second(40));
    }
  }
}

// At 4:1 two pods of 2 rails have 4 leaves of 20 / 4 = 5 GB/s up, 2 of them on each side: 10 GB/s.
TEST(Bisection, IsCutByOversubscribedLeaves) {
  ClusterSpec spec = small_spec(FabricKind::kRail, 4, 2, 2);
  spec.fabric.oversubscription = 4.0;
  EXPECT_EQ(bisection(build_cluster(spec)), gigabytes_per_second(10));
}

// Two GPUs of a domain share a NIC of 10 GB/s, PCIe 20 GB/s each.
TEST(Bisection, IsCutByASharedNic) {
  ClusterSpec spec = small_spec(FabricKind::kSingleSwitch, 2, 2, 1);
  spec.nic.per_node = 1;
  EXPECT_EQ(bisection(build_cluster(spec)), gigabytes_per_second(10));
}

// 2 NICs of 1e30 B/s to 2 others; the sum over all links does not fit into 64 bits. The tolerance
// is the unit of 1e-18 of that sum, over a handful of links.
TEST(Bisection, SurvivesAbsurdRates) {
  ClusterSpec spec = small_spec(FabricKind::kSingleSwitch, 2, 2, 1);
  spec.nic.bandwidth = {1e30};
  spec.nic.pcie_bandwidth = {1e30};
  EXPECT_NEAR(bisection(build_cluster(spec)).value, 2e30, 1e14);
}

TEST(Bisection, DoesNotPassThroughAGpu) {
  // node0 sends over nic0 only; node1 receives over nic1 only. With one leaf a rail and the spines
  // taken out, only a GPU could carry bytes from one rail to the other.
  Cluster cluster = build_cluster(small_spec(FabricKind::kRail, 2, 2, 2));
  ASSERT_EQ(take_down(cluster, "node0/nic1 -> pod0"), 1);
  ASSERT_EQ(take_down(cluster, "pod0/rail0/leaf -> node1/nic0"), 1);
  ASSERT_GT(take_down(cluster, "spine"), 0);
  EXPECT_EQ(bisection(cluster), gigabytes_per_second(0));
}

}  // namespace
}  // namespace moesim
