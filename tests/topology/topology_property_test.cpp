// SPDX-License-Identifier: Apache-2.0
// Theorems of the builders and of path choice, over random clusters and random faults.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "sim/core/diagnostics.hpp"
#include "tests/topology/cluster_fixtures.hpp"
#include "topology/builders.hpp"
#include "topology/paths.hpp"
#include "topology/summary.hpp"

namespace moesim {
namespace {

/// Uniform in [low, high], at full size from the first test on.
template <typename T>
T between(T low, T high) {
  return *rc::gen::resize(rc::kNominalSize, rc::gen::inRange<T>(low, high + 1));
}

/// Any fabric of min_domains to 8 domains of up to 2 nodes of up to 4 GPUs; NICs shared or not.
ClusterSpec any_spec(int min_domains = 1) {
  const auto kind =
      *rc::gen::element(FabricKind::kSingleSwitch, FabricKind::kRail, FabricKind::kFatTree);
  const int nodes_per_domain = between(1, 2);
  const int nodes = nodes_per_domain * between(min_domains, 8);
  const int nics = between(1, 2);
  ClusterSpec spec = small_spec(kind, nodes, nics * between(1, 2), between(1, 5));
  spec.nic.per_node = nics;
  spec.scale_up.nodes_per_domain = nodes_per_domain;
  spec.fabric.oversubscription = *rc::gen::element(0.5, 1.0, 1.1, 2.0, 3.0);
  return spec;
}

GpuId any_gpu(const Cluster& cluster) {
  return id_at<GpuId>(between<std::size_t>(0, cluster.gpus.size() - 1));
}

PathScope any_scope() {
  return *rc::gen::element(PathScope::kAny, PathScope::kScaleOutOnly);
}

PathPolicy any_policy() {
  return *rc::gen::element(PathPolicy::kEcmp, PathPolicy::kRailAligned);
}

/// Vertices strictly inside a path.
std::vector<VertexId> inner_vertices(const Cluster& cluster, const Path& path) {
  std::vector<VertexId> inner;
  for (std::size_t i = 0; i + 1 < path.links.size(); ++i) {
    inner.push_back(cluster.link(path.links[i]).target);
  }
  return inner;
}

/// A chain of links that are up from one GPU to another, none twice, with the latency of their sum.
void check_is_a_path(const Cluster& cluster, GpuId source, GpuId target, const Path& path) {
  VertexId at = cluster.place(source).vertex;
  Seconds latency;
  std::set<std::int32_t> seen;
  for (const LinkId id : path.links) {
    const Link& link = cluster.link(id);
    RC_ASSERT(link.source == at);
    RC_ASSERT(link.health > 0);
    RC_ASSERT(seen.insert(id.value).second);
    latency += link.latency;
    at = link.target;
  }
  RC_ASSERT(at == cluster.place(target).vertex);
  RC_ASSERT(path.latency == latency);
}

/// GPUs passed through: none, or the relay of a rail-aligned path, which is second after the
/// scale-up switch and on the source's node.
void check_transit(const Cluster& cluster, GpuId source, const Path& path, bool may_relay) {
  const std::vector<VertexId> inner = inner_vertices(cluster, path);
  for (std::size_t i = 0; i < inner.size(); ++i) {
    const Vertex& vertex = cluster.vertices[inner[i].index()];
    if (vertex.kind == VertexKind::kGpu) {
      RC_ASSERT(may_relay);
      RC_ASSERT(i == 1U);
      RC_ASSERT(cluster.vertices[inner[0].index()].kind == VertexKind::kScaleUpSwitch);
      RC_ASSERT(vertex.node == cluster.place(source).node);
    }
  }
}

RC_GTEST_PROP(PathFinder, JoinsEveryPairByAChainOfLinksThatPassesNoGpuButTheRelay, ()) {
  const Cluster cluster = build_cluster(any_spec());
  const PathPolicy policy = any_policy();
  const PathFinder finder(cluster, policy, *rc::gen::arbitrary<std::uint64_t>());
  const GpuId source = any_gpu(cluster);
  const GpuId target = any_gpu(cluster);
  const PathScope scope = any_scope();
  const Path path = finder.find(source, target, *rc::gen::arbitrary<std::uint64_t>(), scope);
  RC_ASSERT(path.links.empty() == (source == target));
  check_is_a_path(cluster, source, target, path);
  const bool same_domain = cluster.place(source).domain == cluster.place(target).domain;
  check_transit(cluster,
                source,
                path,
                policy == PathPolicy::kRailAligned && scope == PathScope::kAny && !same_domain);
}

RC_GTEST_PROP(PathFinder, UsesTheScaleUpNetworkInsideDomainsAndNeverInScaleOutOnlyScope, ()) {
  const Cluster cluster = build_cluster(any_spec());
  const PathFinder finder(cluster, any_policy(), 1);
  const GpuId source = any_gpu(cluster);
  const GpuId target = any_gpu(cluster);
  const bool same_domain = cluster.place(source).domain == cluster.place(target).domain;
  for (const LinkId id : finder.find(source, target, 3, PathScope::kAny).links) {
    RC_ASSERT(!same_domain || cluster.link(id).kind == LinkKind::kScaleUp);
  }
  for (const LinkId id : finder.find(source, target, 3, PathScope::kScaleOutOnly).links) {
    RC_ASSERT(cluster.link(id).kind != LinkKind::kScaleUp);
  }
}

/// Links on a shortest path that uses neither scale-up links nor other GPUs, by relaxing all links
/// until nothing changes: another algorithm than the one under test.
std::optional<std::size_t> fewest_links(const Cluster& cluster, GpuId source, GpuId target) {
  const VertexId from = cluster.place(source).vertex;
  const VertexId to = cluster.place(target).vertex;
  const std::size_t far = cluster.vertices.size();
  std::vector<std::size_t> distance(cluster.vertices.size(), far);
  distance[from.index()] = 0;
  for (bool changed = true; changed;) {
    changed = false;
    for (const Link& link : cluster.links) {
      const bool passes_gpu =
          cluster.vertices[link.target.index()].kind == VertexKind::kGpu && link.target != to;
      if (link.kind != LinkKind::kScaleUp && link.health > 0 && !passes_gpu &&
          distance[link.source.index()] + 1 < distance[link.target.index()]) {
        distance[link.target.index()] = distance[link.source.index()] + 1;
        changed = true;
      }
    }
  }
  return distance[to.index()] < far ? std::optional(distance[to.index()]) : std::nullopt;
}

RC_GTEST_PROP(PathFinder, FindsAShortestPathAroundFaultsOrSaysThatThereIsNone, ()) {
  Cluster cluster = build_cluster(any_spec());
  for (Link& link : cluster.links) {
    link.health = *rc::gen::weightedElement<double>({{3, 1.0}, {1, 0.5}, {1, 0.0}});
  }
  const GpuId source = any_gpu(cluster);
  const GpuId target = any_gpu(cluster);
  const std::optional<std::size_t> expected = fewest_links(cluster, source, target);
  const PathFinder finder(cluster, PathPolicy::kEcmp, 1);
  std::optional<Path> found;
  try {
    found = finder.find(source, target, 5, PathScope::kScaleOutOnly);
  } catch (const UserError&) {
    RC_ASSERT(!expected.has_value());
  }
  RC_CLASSIFY(!found.has_value(), "unreachable");
  if (found) {
    RC_ASSERT(expected == std::optional(found->links.size()));
    check_is_a_path(cluster, source, target, *found);
  }
}

RC_GTEST_PROP(PathFinder, GivesEqualPathsForEqualArguments_INV_6, ()) {
  const ClusterSpec spec = any_spec();
  const Cluster one = build_cluster(spec);
  const Cluster two = build_cluster(spec);
  const PathPolicy policy = any_policy();
  const auto seed = *rc::gen::arbitrary<std::uint64_t>();
  const auto key = *rc::gen::arbitrary<std::uint64_t>();
  const PathFinder first(one, policy, seed);
  const PathFinder second(two, policy, seed);
  const GpuId source = any_gpu(one);
  const GpuId target = any_gpu(one);
  const PathScope scope = any_scope();
  RC_ASSERT(first.find(source, target, key, scope).links ==
            second.find(source, target, key, scope).links);
}

// 8000 flows over 8 spines: 1000 each on average, standard deviation sqrt(8000 * 1/8 * 7/8) = 30;
// six of them are 180.
TEST(PathFinder, EcmpSpreadsFlowsEvenlyOverAllSpines) {
  const Cluster cluster = build_cluster(small_spec(FabricKind::kFatTree, 8, 2, 4));
  ASSERT_EQ(count_vertices(cluster, VertexKind::kSpine), 8);
  const PathFinder finder(cluster, PathPolicy::kEcmp, 42);
  std::map<std::size_t, int> flows_of_spine;  // by vertex
  for (std::uint64_t key = 0; key < 8000; ++key) {
    const Path path = finder.find(GpuId{0}, GpuId{15}, key);
    ++flows_of_spine[cluster.link(path.links[2]).target.index()];
  }
  ASSERT_EQ(flows_of_spine.size(), 8U);
  for (const auto& [spine, flows] : flows_of_spine) {
    EXPECT_NEAR(flows, 1000, 180) << cluster.vertices[spine].name;
  }
}

TEST(PathFinder, EcmpSpreadsPairsOfOneKeyToo) {
  const Cluster cluster = build_cluster(small_spec(FabricKind::kFatTree, 8, 2, 4));
  const PathFinder finder(cluster, PathPolicy::kEcmp, 42);
  std::set<std::size_t> spines;
  for (int source = 0; source < 8; ++source) {
    for (int target = 8; target < 16; ++target) {
      const Path path = finder.find(GpuId{source}, GpuId{target}, 0);
      spines.insert(cluster.link(path.links[2]).target.index());
    }
  }
  EXPECT_EQ(spines.size(), 8U);
}

RC_GTEST_PROP(BuildCluster, EveryLinkHasATwinTheOtherWay, ()) {
  const Cluster cluster = build_cluster(any_spec());
  std::map<std::pair<std::size_t, std::size_t>, const Link*> by_ends;
  for (const Link& link : cluster.links) {
    RC_ASSERT(by_ends.emplace(std::pair(link.source.index(), link.target.index()), &link).second);
  }
  for (const Link& link : cluster.links) {
    const auto twin = by_ends.find({link.target.index(), link.source.index()});
    RC_ASSERT(twin != by_ends.end());
    RC_ASSERT(twin->second->capacity == link.capacity);
    RC_ASSERT(twin->second->latency == link.latency);
    RC_ASSERT(twin->second->kind == link.kind);
  }
}

// The tolerance is the rounding of a quotient and a product.
RC_GTEST_PROP(BuildCluster, AFullLeafIsOversubscribedExactlyAsAsked, ()) {
  ClusterSpec spec = any_spec(4);
  spec.fabric.kind = *rc::gen::element(FabricKind::kRail, FabricKind::kFatTree);
  spec.fabric.nodes_per_leaf = between(1, 3);
  const FabricPlan plan = plan_fabric(spec);
  RC_ASSERT(plan.spines > 0);
  const Cluster cluster = build_cluster(spec);
  BytesPerSecond down;
  BytesPerSecond up;
  VertexId leaf;  // the first leaf is a full one
  while (cluster.vertices[leaf.index()].kind != VertexKind::kLeaf) {
    ++leaf.value;
  }
  for (const Link& link : cluster.links) {
    if (link.source == leaf) {
      (link.kind == LinkKind::kNic ? down : up) += link.capacity;
    }
  }
  RC_ASSERT(std::abs(down / up / spec.fabric.oversubscription - 1) < 1e-12);
  RC_ASSERT(plan.uplink.value <= spec.fabric.link_bandwidth.value * (1 + 1e-9));
}

RC_GTEST_PROP(Bisection, IsAtMostWhatEitherHalfCanInjectOrReceive, ()) {
  const Cluster cluster = build_cluster(any_spec(2));
  const int first_half = cluster.num_domains / 2;
  const ClusterSpec reference = small_spec(FabricKind::kRail, 1, 1, 1);
  const auto nics = static_cast<double>(count_vertices(cluster, VertexKind::kNic)) * first_half /
                    cluster.num_domains;
  const BytesPerSecond cut = bisection(cluster);
  RC_ASSERT(cut.value > 0);
  // Whole bytes/s: rounding of at most half a byte/s a link.
  RC_ASSERT(cut.value <=
            (reference.nic.bandwidth * nics).value + static_cast<double>(cluster.links.size()));
}

}  // namespace
}  // namespace moesim
