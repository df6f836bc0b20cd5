// SPDX-License-Identifier: Apache-2.0
// Where the time of a layer goes: its critical path, split into parts that sum to the makespan.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "sim/core/sim_time.hpp"
#include "sim/step/layer_tasks.hpp"
#include "sim/step/task_graph.hpp"
#include "topology/cluster.hpp"

namespace moesim {

/// Parts of a layer's critical path.
enum class Part : std::uint8_t {
  kGate,
  kLaunchLatency,  ///< kernel starts, path latencies, pipeline fill
  kSender,         ///< dispatch bound by the source: message issue or its own links
  kHotLink,        ///< dispatch bound by a link between switches
  kReceiver,       ///< dispatch bound by the destination's own links
  kExperts,        ///< expert compute at the mean of the ranks
  kHotExpert,      ///< expert compute beyond that mean
  kCombine,        ///< combine transfers and the weighted sum
  kStraggler,      ///< waiting for a rank that entered the layer late
};
inline constexpr std::size_t kNumParts = 9;
using Parts = std::array<SimTime, kNumParts>;

[[nodiscard]] std::string_view part_name(Part part);  ///< "gate", "launch_latency", ...

/// Where a dispatch flow is slowest.
enum class Bottleneck : std::uint8_t { kSender, kFabric, kReceiver };

/// The link of `path` with the largest load / capacity; its kind and side decide. The first wins.
/// @param load_s per LinkId: seconds that the phase's bytes over it need at full rate
[[nodiscard]] Bottleneck bottleneck_of(const Cluster& cluster,
                                       std::span<const LinkId> path,
                                       std::span<const double> load_s);

/// A layer's span: from the first rank that enters it to the last that leaves it.
struct LayerSpan {
  SimTime first_start;
  SimTime last_finish;
  RankId last_rank;
  [[nodiscard]] SimTime makespan() const { return last_finish - first_start; }
};
[[nodiscard]] LayerSpan layer_span(const LayerTasks& layer, const TaskTimes& times);

/// Walks back from the last task of the layer through the predecessors that set each start, until
/// it leaves the layer; what remains back to the layer's first start is straggler wait. In
/// picoseconds, so the parts sum to the makespan exactly. Checked by: attribution_test (INV-7).
/// @param load_s dispatch load of every link, as for bottleneck_of
[[nodiscard]] Parts attribute_layer(const TaskGraph& graph,
                                    const TaskTimes& times,
                                    const LayerTasks& layer,
                                    const Cluster& cluster,
                                    std::span<const double> load_s);

/// The same for a whole step: from its last task back to time 0 through all layers, so the parts
/// sum to the step's makespan exactly and no part is straggler wait (the path goes through the rank
/// that is waited for). Checked by: attribution_test (INV-7).
/// @param load_s per layer, dispatch load of every link
[[nodiscard]] Parts attribute_step(const TaskGraph& graph,
                                   const TaskTimes& times,
                                   std::span<const LayerTasks> layers,
                                   const Cluster& cluster,
                                   std::span<const std::vector<double>> load_s);

}  // namespace moesim
