// SPDX-License-Identifier: Apache-2.0
#include "sim/step/attribution.hpp"

#include <algorithm>
#include <numeric>

#include "sim/core/check.hpp"

namespace moesim {
namespace {

constexpr std::array<std::string_view, kNumParts> kPartNames = {"gate",
                                                                "launch_latency",
                                                                "sender",
                                                                "hot_link",
                                                                "receiver",
                                                                "experts",
                                                                "hot_expert",
                                                                "combine",
                                                                "straggler_wait"};

/// Mean over ranks of the layer's expert time, rounded down to a tick.
SimTime mean_expert_time(const TaskGraph& graph, const LayerTasks& layer) {
  SimTime sum;
  for (const TaskId id : layer.experts) {
    sum += graph.tasks[id.index()].duration;
  }
  return {sum.picoseconds / static_cast<std::int64_t>(layer.experts.size())};
}

/// Adds the segments of one critical path to its parts.
class Walker {
 public:
  Walker(const TaskGraph& graph, const TaskTimes& times, const Cluster& cluster)
      : graph_(graph), times_(times), cluster_(cluster) {}

  /// Enters a layer: its links' dispatch load and the mean of its ranks' expert times.
  void enter(const LayerTasks& layer, std::span<const double> load_s) {
    load_s_ = load_s;
    mean_experts_ = mean_expert_time(graph_, layer);
  }

  void add(TaskId id) {
    const SimTime length = times_.end[id.index()] - times_.start[id.index()];
    const Task& task = graph_.tasks[id.index()];
    switch (task.label.kind) {
      case TaskKind::kGate:
        return give(Part::kGate, length);
      case TaskKind::kLaunch:
      case TaskKind::kPipelineFill:
        return give(Part::kLaunchLatency, length);
      case TaskKind::kIssue:
        return give(task.label.combine ? Part::kCombine : Part::kSender, length);
      case TaskKind::kExperts:
        give(Part::kExperts, std::min(length, mean_experts_));
        return give(Part::kHotExpert, length - std::min(length, mean_experts_));
      case TaskKind::kDispatchFlow:
        return add_dispatch_flow(task, length);
      case TaskKind::kDispatchDone:
      case TaskKind::kCombineDone:
      case TaskKind::kCombineFlow:
      case TaskKind::kReduce:
        return give(Part::kCombine, length);
      case TaskKind::kBackground:  // nothing waits for it
      case TaskKind::kAttention:
      case TaskKind::kDense:
      case TaskKind::kHead:
      case TaskKind::kPipeline:
        break;
    }
    MOESIM_CHECK(false, "a chain of MoE layers has no such task");
  }

  Parts parts{};

 private:
  void give(Part part, SimTime length) { parts[static_cast<std::size_t>(part)] += length; }

  void add_dispatch_flow(const Task& task, SimTime length) {
    const FlowPath& path = graph_.paths[static_cast<std::size_t>(task.flow_path)];
    const SimTime latency = std::min(length, ticks(path.latency));
    give(Part::kLaunchLatency, latency);
    switch (bottleneck_of(cluster_, path.links, load_s_)) {
      case Bottleneck::kSender:
        return give(Part::kSender, length - latency);
      case Bottleneck::kFabric:
        return give(Part::kHotLink, length - latency);
      case Bottleneck::kReceiver:
        return give(Part::kReceiver, length - latency);
    }
  }

  const TaskGraph& graph_;
  const TaskTimes& times_;
  const Cluster& cluster_;
  std::span<const double> load_s_;
  SimTime mean_experts_;
};

void check_sum(const Parts& parts, SimTime makespan) {
  MOESIM_CHECK(std::accumulate(parts.begin(), parts.end(), SimTime{}) == makespan,
               "attribution does not sum to the makespan");
}

}  // namespace

std::string_view part_name(Part part) {
  return kPartNames[static_cast<std::size_t>(part)];
}

Bottleneck bottleneck_of(const Cluster& cluster,
                         std::span<const LinkId> path,
                         std::span<const double> load_s) {
  std::size_t slowest = 0;
  for (std::size_t i = 1; i < path.size(); ++i) {
    if (load_s[path[i].index()] > load_s[path[slowest].index()]) {
      slowest = i;
    }
  }
  if (cluster.link(path[slowest]).kind == LinkKind::kFabric) {
    return Bottleneck::kFabric;
  }
  // The source's side reaches to the cable of the NIC that sends, a hop to a relay included. A path
  // without cables is parted in the middle.
  std::size_t sender_links = path.size() / 2;
  for (std::size_t i = path.size(); i-- > 0;) {
    const Link& link = cluster.link(path[i]);
    if (link.kind == LinkKind::kNic &&
        cluster.vertices[link.source.index()].kind == VertexKind::kNic) {
      sender_links = i + 1;
    }
  }
  return slowest < sender_links ? Bottleneck::kSender : Bottleneck::kReceiver;
}

LayerSpan layer_span(const LayerTasks& layer, const TaskTimes& times) {
  LayerSpan span{.first_start = SimTime::never(), .last_finish = {}, .last_rank = {}};
  for (std::size_t r = 0; r < layer.gate.size(); ++r) {
    span.first_start = std::min(span.first_start, times.start[layer.gate[r].index()]);
    const SimTime finish = times.end[layer.done[r].index()];
    if (finish > span.last_finish) {
      span.last_finish = finish;
      span.last_rank = id_at<RankId>(r);
    }
  }
  return span;
}

Parts attribute_layer(const TaskGraph& graph,
                      const TaskTimes& times,
                      const LayerTasks& layer,
                      const Cluster& cluster,
                      std::span<const double> load_s) {
  const LayerSpan span = layer_span(layer, times);
  Walker walker(graph, times, cluster);
  walker.enter(layer, load_s);
  TaskId current = layer.done[span.last_rank.index()];
  const std::int32_t layer_index = graph.tasks[current.index()].label.layer;
  while (true) {
    walker.add(current);
    const std::optional<TaskId> before = times.bound_by[current.index()];
    if (!before || graph.tasks[before->index()].label.layer != layer_index) {
      break;
    }
    current = *before;
  }
  const SimTime entered = times.start[current.index()];
  walker.parts[static_cast<std::size_t>(Part::kStraggler)] += entered - span.first_start;
  check_sum(walker.parts, span.makespan());
  return walker.parts;
}

Parts attribute_step(const TaskGraph& graph,
                     const TaskTimes& times,
                     std::span<const LayerTasks> layers,
                     const Cluster& cluster,
                     std::span<const std::vector<double>> load_s) {
  const LayerSpan last = layer_span(layers.back(), times);
  Walker walker(graph, times, cluster);
  std::optional<TaskId> current = layers.back().done[last.last_rank.index()];
  std::optional<std::int32_t> entered;
  while (current) {
    const std::int32_t layer = graph.tasks[current->index()].label.layer;
    if (layer != entered) {
      const auto index = static_cast<std::size_t>(layer);
      walker.enter(layers[index], load_s[index]);
      entered = layer;
    }
    walker.add(*current);
    current = times.bound_by[current->index()];
  }
  check_sum(walker.parts, last.last_finish);
  return walker.parts;
}

}  // namespace moesim
