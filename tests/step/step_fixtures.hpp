// SPDX-License-Identifier: Apache-2.0
// A tiny cluster with round rates and layers made by hand, so that every time can be derived on
// paper: one copy of a token takes 100 us over a NIC, 10 us inside a node, twice that in combine.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "sim/moe/capacity.hpp"
#include "sim/moe/dispatch.hpp"
#include "sim/moe/placement.hpp"
#include "sim/network/network.hpp"
#include "sim/step/layer_tasks.hpp"
#include "sim/step/path_table.hpp"
#include "sim/step/task_graph.hpp"
#include "topology/builders.hpp"
#include "topology/paths.hpp"

namespace moesim::testing {

inline constexpr int kRanks = 4;
inline constexpr CopyBytes kMegabyteCopy{
    .payload = 1'000'000, .scales = 0, .indices = 0, .combine = 2'000'000};

/// 2 nodes of 2 GPUs: scale-up 100 GB/s and 2 us, a NIC a GPU with 10 GB/s and 4 us, PCIe 1 TB/s,
/// one ideal switch.
inline ClusterSpec tiny_spec() {
  ClusterSpec spec;
  spec.name = "tiny";
  spec.nodes = 2;
  spec.gpus_per_node = 2;
  spec.scale_up = {1, gigabytes_per_second(100), microseconds(2)};
  spec.nic = {2, gigabytes_per_second(10), gigabytes_per_second(1000), microseconds(4)};
  spec.fabric = {FabricKind::kSingleSwitch, 1, 1.0, gigabytes_per_second(20), microseconds(3)};
  return spec;
}

/// The experts of each token of each rank.
using TokensByRank = std::vector<std::vector<std::vector<ExpertIndex>>>;

inline Routing make_routing(const TokensByRank& ranks, int num_experts, int top_k) {
  Routing routing{num_experts, top_k, {0}, {}, {}};
  for (const auto& tokens : ranks) {
    for (const auto& experts : tokens) {
      routing.experts.insert(routing.experts.end(), experts.begin(), experts.end());
    }
    routing.token_begin.push_back(routing.token_begin.back() +
                                  static_cast<std::int32_t>(tokens.size()));
  }
  return routing;
}

inline std::vector<RankPlace> places_of(const Cluster& cluster) {
  std::vector<RankPlace> places;
  for (const GpuPlace& gpu : cluster.gpus) {
    places.push_back({gpu.domain, gpu.index_in_domain});
  }
  return places;
}

/// Gate 10 us, experts 50 us, reduce 3 us on each of 4 ranks.
inline LayerCompute plain_compute() {
  const auto each = [](double us) { return std::vector<SimTime>(kRanks, ticks(microseconds(us))); };
  return {each(10), each(50), each(3)};
}

/// A layer on `cluster` with one megabyte a copy; experts lie on ranks in contiguous blocks.
inline LayerWork make_layer(const Cluster& cluster,
                            const Routing& routing,
                            const DispatchSpec& dispatch,
                            const CapacitySpec& capacity = {}) {
  LayerWork work;
  work.traffic = plan_traffic(routing,
                              apply_capacity(routing, capacity),
                              contiguous_placement(routing.num_experts, kRanks),
                              {places_of(cluster), dispatch, kMegabyteCopy});
  work.compute = plain_compute();
  return work;
}

/// Chained layers that ran to the end.
struct RanLayers {
  TaskGraph graph;
  std::vector<LayerTasks> layers;
  TaskTimes times;

  /// End of a rank's task in microseconds.
  [[nodiscard]] double end_us(const std::vector<TaskId>& tasks, std::size_t rank) const {
    return static_cast<double>(times.end[tasks[rank].index()].picoseconds) * 1e-6;
  }
  [[nodiscard]] double start_us(const std::vector<TaskId>& tasks, std::size_t rank) const {
    return static_cast<double>(times.start[tasks[rank].index()].picoseconds) * 1e-6;
  }
};

/// Kernels start in 5 us; messages cost nothing unless said.
inline CommunicationModel make_communication(const DispatchSpec& dispatch, double gap_us = 0) {
  return {.dispatch = dispatch,
          .kernel_start = microseconds(5),
          .message_gap = microseconds(gap_us),
          .combine_extra_start = {},
          .message_overhead = {},
          .copy_rate = {},
          .combine_copy_rate = {}};
}

inline RanLayers run_layers(const Cluster& cluster,
                            const std::vector<LayerWork>& works,
                            const CommunicationModel& communication,
                            PathPolicy policy = PathPolicy::kEcmp) {
  const PathFinder finder(cluster, policy, 1);
  const PathScope scope =
      communication.dispatch.scale_up ? PathScope::kAny : PathScope::kScaleOutOnly;
  PathTable paths(finder, static_cast<int>(cluster.gpus.size()), scope);
  RanLayers ran;
  for (const LayerWork& work : works) {
    const LayerTasks* previous = ran.layers.empty() ? nullptr : &ran.layers.back();
    ran.layers.push_back(append_layer(ran.graph, work, communication, paths, previous));
  }
  ran.graph.paths = paths.paths();
  const auto network = make_network(NetworkEngine::kFluid, usable_capacities(cluster));
  ran.times = execute(ran.graph, *network);
  return ran;
}

}  // namespace moesim::testing
