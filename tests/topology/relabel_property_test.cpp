// SPDX-License-Identifier: Apache-2.0
// INV-5 on the larger fabrics: nodes that the fabric cannot tell apart may change places, and the
// finish of every transfer moves with them. Transfers are spread over all shortest paths, since one
// path by hash depends on the numbers of its ends.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "sim/core/rng.hpp"
#include "sim/network/network.hpp"
#include "tests/topology/cluster_fixtures.hpp"
#include "topology/builders.hpp"
#include "topology/paths.hpp"

namespace moesim {
namespace {

template <typename T>
T between(T low, T high) {
  return *rc::gen::resize(rc::kNominalSize, rc::gen::inRange<T>(low, high + 1));
}

std::vector<int> any_order(int count, RngStream& rng) {
  std::vector<int> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  shuffle(std::span(order), rng);
  return order;
}

/// A cluster and a symmetry of it: node n becomes node new_node[n].
struct Symmetric {
  ClusterSpec spec;
  std::vector<int> new_node;
};

/// Full leaves and full blocks: blocks, the leaves of each and the nodes of each leaf in any order.
Symmetric any_tree(RngStream& rng) {
  const int blocks = between(1, 3);
  const int pods = between(1, 2);
  const int nodes = between(1, 2);
  const FabricKind kind = *rc::gen::element(
      FabricKind::kRail, FabricKind::kFatTree, FabricKind::kRailOnly, FabricKind::kDragonflyPlus);
  Symmetric made{small_spec(kind, blocks * pods * nodes, 2, nodes), {}};
  const bool has_cores = kind == FabricKind::kRail || kind == FabricKind::kFatTree;
  made.spec.fabric.tiers = has_cores ? between(2, 3) : 2;
  made.spec.fabric.pods_per_block = pods;
  made.spec.fabric.oversubscription = between(1, 3);
  made.spec.fabric.core_oversubscription = between(1, 2);
  for (const int block : any_order(blocks, rng)) {
    for (const int pod : any_order(pods, rng)) {
      for (const int node : any_order(nodes, rng)) {
        made.new_node.push_back((block * pods + pod) * nodes + node);
      }
    }
  }
  return made;
}

/// A torus moved along its sides.
Symmetric any_torus() {
  const int x = between(1, 4);
  const int y = between(1, 3);
  const int z = between(1, 2);
  Symmetric made{small_spec(FabricKind::kTorus, x * y * z, 1, 1), {}};
  made.spec.fabric.torus = {x, y, z};
  const int dx = between(0, x - 1);
  const int dy = between(0, y - 1);
  const int dz = between(0, z - 1);
  for (int n = 0; n < x * y * z; ++n) {
    made.new_node.push_back((n % x + dx) % x + x * ((n / x % y + dy) % y) +
                            x * y * ((n / x / y + dz) % z));
  }
  return made;
}

Symmetric any_symmetric() {
  RngStream rng(*rc::gen::arbitrary<std::uint64_t>(), "symmetry");
  Symmetric made = *rc::gen::arbitrary<bool>() ? any_tree(rng) : any_torus();
  made.spec.nic.ports = between(1, 2);
  if (made.spec.gpus_per_node == 2) {
    made.spec.nic.per_node = between(1, 2);
    made.spec.scale_up.kind = *rc::gen::element(ScaleUpKind::kSwitch, ScaleUpKind::kPcie);
  }
  return made;
}

/// When each transfer of bytes[source][target] ends; 0 without bytes.
using Matrix = std::vector<std::vector<double>>;

Matrix finish_times(const Cluster& cluster, const Matrix& sizes) {
  constexpr int kMostPaths = 64;
  const PathFinder finder(cluster, PathPolicy::kRailAligned, 1, {PathChoice::kSpray, kMostPaths});
  std::vector<BatchFlow> flows;
  std::vector<std::pair<std::size_t, std::size_t>> pairs;
  for (std::size_t s = 0; s < sizes.size(); ++s) {
    for (std::size_t t = 0; t < sizes.size(); ++t) {
      if (sizes[s][t] == 0) {
        continue;
      }
      const auto parts = finder.find_all(id_at<GpuId>(s), id_at<GpuId>(t), 0);
      RC_ASSERT(parts.size() < kMostPaths);
      for (const PathShare& part : parts) {
        flows.push_back({part.path.links, bytes(sizes[s][t] * part.share), part.path.latency, {}});
        pairs.emplace_back(s, t);
      }
    }
  }
  Matrix finish(sizes.size(), std::vector<double>(sizes.size()));
  if (!flows.empty()) {
    const auto network = make_network(NetworkEngine::kFluid, usable_capacities(cluster));
    const BatchResult result = run_batch(*network, flows);
    for (std::size_t f = 0; f < flows.size(); ++f) {
      double& last = finish[pairs[f].first][pairs[f].second];
      last = std::max(last, result.finish[f].to_seconds().value);
    }
  }
  return finish;
}

// A flow ends at the nearest picosecond, and so do the up to 2,000 before it.
RC_GTEST_PROP(LargerFabrics, NodesThatChangePlacesTakeTheirTimesAlongINV5, ()) {
  const Symmetric made = any_symmetric();
  const Cluster cluster = build_cluster(made.spec);
  const std::size_t gpus = cluster.gpus.size();
  const auto each = static_cast<std::size_t>(made.spec.gpus_per_node);
  const auto moved = [&](std::size_t gpu) {
    return static_cast<std::size_t>(made.new_node[gpu / each]) * each + gpu % each;
  };
  RngStream rng(*rc::gen::arbitrary<std::uint64_t>(), "sizes");
  Matrix sizes(gpus, std::vector<double>(gpus));
  Matrix moved_sizes = sizes;
  for (std::size_t s = 0; s < gpus; ++s) {
    for (std::size_t t = 0; t < gpus; ++t) {
      const double size = s == t || rng.below(3) == 0 ? 0.0 : 1e3 * double(1 + rng.below(1000));
      sizes[s][t] = size;
      moved_sizes[moved(s)][moved(t)] = size;
    }
  }
  const Matrix before = finish_times(cluster, sizes);
  const Matrix after = finish_times(cluster, moved_sizes);
  constexpr double kClockError = 1e-9;
  for (std::size_t s = 0; s < gpus; ++s) {
    for (std::size_t t = 0; t < gpus; ++t) {
      RC_ASSERT(std::abs(after[moved(s)][moved(t)] - before[s][t]) <= kClockError);
    }
  }
  RC_CLASSIFY(made.spec.fabric.kind == FabricKind::kTorus, "torus");
  RC_CLASSIFY(made.spec.fabric.kind == FabricKind::kDragonflyPlus, "dragonfly+");
  RC_CLASSIFY(made.spec.fabric.tiers == 3, "three tiers");
  RC_CLASSIFY(moved_sizes != sizes, "moved");
}

}  // namespace
}  // namespace moesim
