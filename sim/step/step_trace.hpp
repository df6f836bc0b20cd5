// SPDX-License-Identifier: Apache-2.0
// Every task of one simulated step and when it ran, with what it means to a rank.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "sim/step/layer_tasks.hpp"
#include "sim/step/link_series.hpp"
#include "sim/step/step.hpp"
#include "sim/step/task_graph.hpp"

namespace moesim {

/// Streams of a rank; kernels of a second micro-batch may run beside those of the first.
enum class Track : std::uint8_t { kCompute, kCommunication, kSecondCommunication };
inline constexpr int kNumTracks = 3;

/// Which way a pass of training runs through a layer.
enum class PassDirection : std::uint8_t { kForward, kBackward, kRecompute };

/// What a rank does from the start of one task to the end of another.
struct TrackSpan {
  std::string_view name;  ///< a literal
  std::int32_t rank = 0;
  Track track = Track::kCompute;
  std::int32_t layer = 0;
  PassDirection direction = PassDirection::kForward;
  TaskId from;
  TaskId to;
};

struct StepTrace {
  TaskGraph graph;
  TaskTimes times;
  std::vector<TrackSpan> spans;  ///< those of one track are apart or inside one another
  int ranks = 0;
  std::vector<std::size_t> watched;  ///< the busiest links, by LinkId
  LinkSeries links;  ///< groups: each LinkKind, then each watched link; not known: no rates
};
inline constexpr std::size_t kWatchedLinks = 8;

/// Every stride-th of `ranks` ranks: one of each run of that many, not the same place in each, so
/// that every rail is seen.
[[nodiscard]] std::vector<RankId> rank_sample(std::size_t ranks, std::size_t stride);

/// gate, experts and weighted sum; dispatch and combine with the start of their kernels inside.
[[nodiscard]] std::vector<TrackSpan> layer_spans(const TaskGraph& graph,
                                                 const std::vector<LayerTasks>& layers);

/// Executes a graph and takes down how busy its links are, in intervals of a thousandth of
/// `makespan` (of fewer in graphs of more than 100,000 flows: a look costs as much as there are
/// live flows).
struct WatchedRun {
  TaskTimes times;
  std::vector<std::size_t> watched;
  LinkSeries links;
};
[[nodiscard]] WatchedRun execute_watched(const TaskGraph& graph,
                                         Network& network,
                                         const Cluster& cluster,
                                         std::span<const BytesPerSecond> capacity,
                                         SimTime makespan);

/// Simulates the step as simulate_step does and keeps its tasks instead of their sums.
/// @param makespan  of the step, as simulate_step has it
/// Checked by: timeline_test.
[[nodiscard]] StepTrace trace_step(const StepModel& model, int step, SimTime makespan);

}  // namespace moesim
