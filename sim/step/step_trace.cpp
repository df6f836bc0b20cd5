// SPDX-License-Identifier: Apache-2.0
#include "sim/step/step_trace.hpp"

#include <algorithm>
#include <numeric>

namespace moesim {
namespace {

constexpr std::int64_t kMostLooks = 1000;
constexpr std::int64_t kMostVisits = 100'000'000;  ///< flows times looks

/// The links that would be busy longest at full rate.
std::vector<std::size_t> busiest_links(const TaskGraph& graph,
                                       std::span<const BytesPerSecond> capacity) {
  std::vector<double> busy(capacity.size());
  for (const Task& task : graph.tasks) {
    if (task.flow_path >= 0) {
      for (const LinkId link : graph.paths[static_cast<std::size_t>(task.flow_path)].links) {
        busy[link.index()] += task.bytes.value / capacity[link.index()].value;
      }
    }
  }
  std::vector<std::size_t> order(busy.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::erase_if(order, [&](std::size_t i) { return busy[i] <= 0.0; });
  std::stable_sort(
      order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return busy[a] > busy[b]; });
  order.resize(std::min(order.size(), kWatchedLinks));
  return order;
}

}  // namespace

std::vector<RankId> rank_sample(std::size_t ranks, std::size_t stride) {
  std::vector<RankId> chosen;
  for (std::size_t run = 0; run * stride < ranks; ++run) {
    chosen.push_back(id_at<RankId>(std::min(run * stride + run % stride, ranks - 1)));
  }
  return chosen;
}

std::vector<TrackSpan> layer_spans(const TaskGraph& graph, const std::vector<LayerTasks>& layers) {
  std::vector<TrackSpan> spans;
  for (const LayerTasks& layer : layers) {
    for (std::size_t r = 0; r < layer.gate.size(); ++r) {
      const auto add = [&](std::string_view name, Track track, TaskId from, TaskId to) {
        spans.push_back({.name = name,
                         .rank = static_cast<std::int32_t>(r),
                         .track = track,
                         .layer = graph.tasks[layer.gate[r].index()].label.layer,
                         .direction = PassDirection::kForward,
                         .from = from,
                         .to = to});
      };
      const auto kernel = [&](std::string_view name, TaskId from, TaskId to) {
        add(name, Track::kCommunication, from, to);
        add("kernel start", Track::kCommunication, from, from);
      };
      add("gate", Track::kCompute, layer.gate[r], layer.gate[r]);
      kernel("dispatch", layer.dispatch_start[r], layer.dispatch_done[r]);
      add("experts", Track::kCompute, layer.experts[r], layer.experts[r]);
      kernel("combine", layer.combine_start[r], layer.combine_done[r]);
      add("weighted sum", Track::kCompute, layer.done[r], layer.done[r]);
    }
  }
  return spans;
}

WatchedRun execute_watched(const TaskGraph& graph,
                           Network& network,
                           const Cluster& cluster,
                           std::span<const BytesPerSecond> capacity,
                           SimTime makespan) {
  WatchedRun run;
  run.watched = busiest_links(graph, capacity);
  LinkGroups groups;
  groups.count = static_cast<std::size_t>(kNumLinkKinds) + run.watched.size();
  for (const Link& link : cluster.links) {
    groups.of_link.push_back({static_cast<std::uint16_t>(link.kind)});
  }
  for (std::size_t i = 0; i < run.watched.size(); ++i) {
    groups.of_link[run.watched[i]].push_back(static_cast<std::uint16_t>(kNumLinkKinds + i));
  }
  const std::int64_t flows = std::count_if(
      graph.tasks.begin(), graph.tasks.end(), [](const Task& task) { return task.flow_path >= 0; });
  const std::int64_t looks =
      std::clamp<std::int64_t>(kMostVisits / std::max<std::int64_t>(1, flows), 50, kMostLooks);
  LinkWatch watch(
      graph, groups, {std::max<std::int64_t>(1, (makespan.picoseconds + looks - 1) / looks)});
  run.times = execute(graph, network, watch);
  run.links = watch.series();
  return run;
}

}  // namespace moesim
