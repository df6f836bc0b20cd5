// SPDX-License-Identifier: Apache-2.0
// Bounds of given transfers over the cuts of small clusters, by hand.
#include "topology/cut_bounds.hpp"

#include <gtest/gtest.h>

#include "tests/topology/cluster_fixtures.hpp"
#include "topology/builders.hpp"
#include "topology/cuts.hpp"

namespace moesim {
namespace {

/// 4 nodes of one GPU, 10 GB/s NICs, one a leaf, 2:1: a leaf has 5 GB/s up.
Cluster four_leaves() {
  ClusterSpec spec = small_spec(FabricKind::kFatTree, 4, 1, 1);
  spec.fabric.oversubscription = 2;
  return build_cluster(spec);
}

// 2 GB from node 0 to 1 pass its NIC in 0.2 s and its leaf in 0.4 s: with 4 domains an eighth is no
// set, a quarter is one domain by max-flow. 1 GB each from 0 and 1 to 2: 0.2 s into node 2's NIC,
// 0.4 s into its leaf.
TEST(CutBounds, TakeTheSlowestCutOfTheTransfers) {
  const Cluster cluster = four_leaves();
  const CutBounds cuts(cluster, usable_capacities(cluster));
  CutBounds::Load one(cuts);
  one.add(GpuId{0}, GpuId{1}, 2'000'000'000);
  EXPECT_EQ(one.slowest().cut, "domain 0 out");
  EXPECT_NEAR(one.slowest().time.value, 0.4, 1e-9);
  CutBounds::Load two(cuts);
  two.add(GpuId{0}, GpuId{2}, 1'000'000'000);
  two.add(GpuId{1}, GpuId{2}, 1'000'000'000);
  EXPECT_EQ(two.slowest().cut, "domain 2 in");
  EXPECT_NEAR(two.slowest().time.value, 0.4, 1e-9);
}

// All of 0 and 1 to all of 2 and 3, 1 GB a pair: 4 GB over 10 GB/s; each leaf 2 GB over 5 GB/s as
// well. With 3 GB more from 0 to 2 node 0 has 5 GB to send.
TEST(CutBounds, TakeSetsOfDomains) {
  const Cluster cluster = four_leaves();
  const CutBounds cuts(cluster, usable_capacities(cluster));
  CutBounds::Load load(cuts);
  for (const int source : {0, 1}) {
    for (const int target : {2, 3}) {
      load.add(GpuId{source}, GpuId{target}, 1'000'000'000);
    }
  }
  EXPECT_NEAR(load.slowest().time.value, 0.4, 1e-9);
  load.add(GpuId{0}, GpuId{2}, 3'000'000'000);
  EXPECT_EQ(load.slowest().cut, "domain 0 out");
  EXPECT_NEAR(load.slowest().time.value, 1.0, 1e-9);
}

// Rates are those that are handed in: half of the nominal ones, twice the time.
TEST(CutBounds, UseTheRatesGiven) {
  const Cluster cluster = four_leaves();
  std::vector<BytesPerSecond> rates = usable_capacities(cluster);
  for (BytesPerSecond& rate : rates) {
    rate = rate * 0.5;
  }
  const CutBounds cuts(cluster, rates);
  CutBounds::Load load(cuts);
  load.add(GpuId{0}, GpuId{1}, 2'000'000'000);
  EXPECT_NEAR(load.slowest().time.value, 0.8, 1e-9);
}

TEST(CutBounds, AreNoneInsideADomainAndWithoutCuts) {
  const Cluster cluster = build_cluster(small_spec(FabricKind::kRail, 2, 2, 2));
  const CutBounds cuts(cluster, usable_capacities(cluster));
  CutBounds::Load inside(cuts);
  inside.add(GpuId{0}, GpuId{1}, 1'000'000'000);
  EXPECT_EQ(inside.slowest().cut, "");
  EXPECT_EQ(inside.slowest().time.value, 0.0);
  const CutBounds none;
  CutBounds::Load load(none);
  load.add(GpuId{0}, GpuId{2}, 1'000'000'000);
  EXPECT_EQ(load.slowest().cut, "");
}

// Two GPUs without scale-up network share a NIC: every GPU is a domain, its way out its PCIe link
// of 20 GB/s, and its neighbour is reached in the NIC without the 10 GB/s cable.
TEST(CutSets, GpusOfTwoDomainsMeetInTheirNic) {
  ClusterSpec spec = small_spec(FabricKind::kSingleSwitch, 2, 2, 1);
  spec.scale_up.kind = ScaleUpKind::kNone;
  spec.nic.per_node = 1;
  const std::vector<CutRates> rates = domain_rates(build_cluster(spec));
  ASSERT_EQ(rates.size(), 4U);
  for (const CutRates& rate : rates) {
    EXPECT_EQ(rate.out, gigabytes_per_second(20));
    EXPECT_EQ(rate.in, gigabytes_per_second(20));
  }
  // An all-to-all of 1 GB a pair: each node sends 4 GB over its 10 GB/s cable.
  EXPECT_NEAR(slowest_cuts(build_cluster(spec), gigabytes(1)).front().all_to_all.value, 0.4, 1e-9);
}

}  // namespace
}  // namespace moesim
