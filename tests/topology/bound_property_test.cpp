// SPDX-License-Identifier: Apache-2.0
// INV-3 over cuts: no all-to-all that is simulated beats the cut bound, on any fabric, path choice
// and faults; and transfers that are spread over paths still join their ends.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "sim/core/diagnostics.hpp"
#include "sim/network/network.hpp"
#include "tests/topology/cluster_fixtures.hpp"
#include "topology/builders.hpp"
#include "topology/cuts.hpp"
#include "topology/faults.hpp"
#include "topology/paths.hpp"

namespace moesim {
namespace {

template <typename T>
T between(T low, T high) {
  return *rc::gen::resize(rc::kNominalSize, rc::gen::inRange<T>(low, high + 1));
}

Cluster any_cluster() {
  const auto kind = static_cast<FabricKind>(between(0, 5));
  const int x = between(1, 3);
  const int y = between(1, 3);
  ClusterSpec spec = small_spec(kind, x * y, 2, between(1, 2));
  spec.fabric.torus = {x, y, 1};
  spec.fabric.pods_per_block = between(1, 2);
  spec.fabric.tiers = between(2, 3);
  spec.fabric.core_oversubscription = between(1, 3);
  spec.fabric.oversubscription = between(1, 3);
  spec.nic.ports = between(1, 2);
  spec.nic.per_node = between(1, 2);
  spec.scale_up.kind =
      *rc::gen::element(ScaleUpKind::kSwitch, ScaleUpKind::kPcie, ScaleUpKind::kNone);
  if (spec.scale_up.kind == ScaleUpKind::kPcie) {
    spec.scale_up.gpus_per_switch = between(1, 2);
  }
  Cluster cluster = build_cluster(spec);
  FaultSpec faults;
  faults.random_links = 0.2;
  faults.random_nics = 0.2;
  faults.random_remaining = *rc::gen::element(0.0, 0.4);
  faults.seed = *rc::gen::arbitrary<std::uint64_t>();
  RC_ASSERT(apply_faults(cluster, faults).mistakes.empty());
  return cluster;
}

void check_joins(const Cluster& cluster, GpuId source, GpuId target, const Path& path) {
  VertexId at = cluster.place(source).vertex;
  std::set<std::int32_t> seen;
  for (const LinkId id : path.links) {
    RC_ASSERT(cluster.link(id).source == at);
    RC_ASSERT(cluster.link(id).health > 0);
    RC_ASSERT(seen.insert(id.value).second);
    at = cluster.link(id).target;
  }
  RC_ASSERT(at == cluster.place(target).vertex);
}

RC_GTEST_PROP(Cuts, NoSimulatedAllToAllBeatsTheSlowestINV3, ()) {
  const Cluster cluster = any_cluster();
  const PathSpread spread{static_cast<PathChoice>(between(0, 3)), between(1, 5)};
  const PathFinder finder(cluster, static_cast<PathPolicy>(between(0, 1)), 1, spread);
  const double per_pair = 1e6;
  const auto gpus = static_cast<int>(cluster.gpus.size());
  std::vector<BatchFlow> flows;
  try {
    for (int s = 0; s < gpus; ++s) {
      for (int t = 0; t < gpus; ++t) {
        const auto parts = finder.find_all(GpuId{s}, GpuId{t}, 0);
        double sum = 0;
        std::set<std::vector<LinkId>> different;
        for (const PathShare& part : parts) {
          check_joins(cluster, GpuId{s}, GpuId{t}, part.path);
          sum += part.share;
          different.insert(part.path.links);
          if (s != t) {
            flows.push_back({part.path.links, bytes(per_pair * part.share), {}, {}});
          }
        }
        RC_ASSERT(different.size() == parts.size());
        RC_ASSERT(std::abs(sum - 1) < 1e-12);
      }
    }
  } catch (const UserError&) {
    RC_DISCARD("unreachable");
  }
  const auto network = make_network(NetworkEngine::kFluid, usable_capacities(cluster));
  const BatchResult result = run_batch(*network, flows);
  const double makespan =
      std::max_element(result.finish.begin(), result.finish.end())->to_seconds().value;
  const double bound = slowest_cuts(cluster, bytes(per_pair)).front().all_to_all.value;
  RC_ASSERT(makespan >= bound * (1 - 1e-6));
}

}  // namespace
}  // namespace moesim
