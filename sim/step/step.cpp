// SPDX-License-Identifier: Apache-2.0
#include "sim/step/step.hpp"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "sim/step/hot_spots.hpp"
#include "sim/step/layer_work.hpp"
#include "sim/step/phase_load.hpp"
#include "sim/step/step_trace.hpp"

namespace moesim {
namespace {

/// Lower bound of one phase over the cuts of the cluster, whatever paths the transfers take.
CutBound cut_bound(const CutBounds& cuts, const CommPlan& plan, const CommPlan* before) {
  CutBounds::Load load(cuts);
  for (const CommPlan* part : {&plan, before}) {
    for (std::size_t i = 0; part != nullptr && i < part->transfers.size(); ++i) {
      const Transfer& t = part->transfers[i];
      load.add(GpuId{t.source.value}, GpuId{t.destination.value}, t.bytes);
    }
  }
  return load.slowest();
}

RankSpread spread(const TaskTimes& times,
                  const std::vector<TaskId>& from,
                  const std::vector<TaskId>& to) {
  SimTime sum;
  SimTime longest;
  for (std::size_t r = 0; r < from.size(); ++r) {
    const SimTime length = times.end[to[r].index()] - times.start[from[r].index()];
    sum += length;
    longest = std::max(longest, length);
  }
  return {sum.to_seconds() / static_cast<double>(from.size()), longest.to_seconds()};
}

/// The chain of layers of one step on one task graph.
class StepRun {
 public:
  StepRun(const StepModel& model, int step, std::vector<PreparedLayer> layers)
      : model_(model),
        capacity_(effective_capacities(model.cluster, model.constants)),
        finder_(model.cluster,
                path_policy_of(model.dispatch, model.path_policy),
                model.seed,
                model.path_spread),
        paths_(finder_, model.ranks, scope(model.dispatch)),
        prepared_(std::move(layers)) {
    result_.step = step;
    result_.link_bytes.resize(capacity_.size());
  }

  StepTrace trace(SimTime makespan) {
    build();
    const auto network = make_network(network_settings(), capacity_);
    WatchedRun run = execute_watched(graph_, *network, model_.cluster, capacity_, makespan);
    std::vector<TrackSpan> spans = layer_spans(graph_, layers_);
    return {.graph = std::move(graph_),
            .times = std::move(run.times),
            .spans = std::move(spans),
            .ranks = model_.ranks,
            .watched = std::move(run.watched),
            .links = std::move(run.links)};
  }

  StepResult run() {
    build();
    const auto network = make_network(network_settings(), capacity_);
    const TaskTimes times = execute(graph_, *network);
    result_.flows = std::count_if(graph_.tasks.begin(), graph_.tasks.end(), [](const Task& task) {
      return task.flow_path >= 0;
    });
    result_.network_events = network->events();
    for (std::size_t layer = 0; layer < prepared_.size(); ++layer) {
      measure(layer, times);
      result_.makespan = std::max(result_.makespan, prepared_[layer].result.last_finish);
      result_.layers.push_back(std::move(prepared_[layer].result));
    }
    for (std::size_t task = first_background_; task < times.end.size(); ++task) {
      result_.background_finish = std::max(result_.background_finish, times.end[task]);
    }
    result_.parts = attribute_step(graph_, times, layers_, model_.cluster, dispatch_load_s_);
    return std::move(result_);
  }

 private:
  static PathScope scope(const DispatchSpec& dispatch) {
    return dispatch.scale_up ? PathScope::kAny : PathScope::kScaleOutOnly;
  }

  void build() {
    const CommunicationModel communication =
        communication_model(model_.dispatch, model_.constants, capacity_);
    reserve();
    for (const PreparedLayer& prepared : prepared_) {
      const LayerTasks* previous = layers_.empty() ? nullptr : &layers_.back();
      layers_.push_back(append_layer(graph_, prepared.work, communication, paths_, previous));
    }
    first_background_ = append_background(graph_, model_.background, paths_);
    graph_.paths = paths_.paths();
  }

  /// Room for one task and five edges a transfer, which covers all dispatchers but for their joins.
  void reserve() {
    std::size_t transfers = 0;
    for (const PreparedLayer& prepared : prepared_) {
      const LayerTraffic& traffic = prepared.work.traffic;
      for (const CommPlan* plan : {&traffic.notify, &traffic.dispatch, &traffic.combine}) {
        transfers += plan->transfers.size();
      }
    }
    graph_.tasks.reserve(transfers + transfers / 4);
    graph_.edges.reserve(5 * transfers);
  }

  NetworkSettings network_settings() {
    NetworkSettings settings;
    settings.engine = model_.engine;
    if (model_.message_chunk.value > 0.0) {
      settings.chunk = model_.message_chunk;
    }
    if (model_.network_tolerance > 0.0) {
      settings.window = tolerance_window(model_.network_tolerance, shortest_phase());
    }
    return settings;
  }

  /// Least bound of a phase that sends anything; 0 where none does.
  Seconds shortest_phase() {
    std::optional<Seconds> least;
    for (const PreparedLayer& prepared : prepared_) {
      const LayerTraffic& traffic = prepared.work.traffic;
      for (const Seconds bound :
           {phase_load(traffic.dispatch, &traffic.notify, paths_, capacity_).bound,
            phase_load(traffic.combine, nullptr, paths_, capacity_).bound}) {
        if (bound.value > 0.0) {
          least = std::min(least.value_or(bound), bound);
        }
      }
    }
    return least.value_or(Seconds{});
  }

  void measure(std::size_t layer, const TaskTimes& times) {
    LayerResult& result = prepared_[layer].result;
    const LayerTraffic& traffic = prepared_[layer].work.traffic;
    const LayerTasks& tasks = layers_[layer];
    const PhaseLoad dispatch = phase_load(traffic.dispatch, &traffic.notify, paths_, capacity_);
    const PhaseLoad combine = phase_load(traffic.combine, nullptr, paths_, capacity_);
    const LayerSpan span = layer_span(tasks, times);
    result.first_start = span.first_start;
    result.last_finish = span.last_finish;
    result.parts = attribute_layer(graph_, times, tasks, model_.cluster, dispatch.link_seconds);
    result.gate = spread(times, tasks.gate, tasks.gate);
    result.dispatch = spread(times, tasks.dispatch_start, tasks.dispatch_done);
    result.experts = spread(times, tasks.experts, tasks.experts);
    result.combine = spread(times, tasks.combine_start, tasks.done);
    result.dispatch_bound = dispatch.bound;
    result.combine_bound = combine.bound;
    result.dispatch_cut = cut_bound(model_.cuts, traffic.dispatch, &traffic.notify);
    result.combine_cut = cut_bound(model_.cuts, traffic.combine, nullptr);
    add_links(result, dispatch, combine);
    add_pairs(result_.pairs, traffic.dispatch.logical);
    dispatch_load_s_.push_back(dispatch.link_seconds);
  }

  void add_links(LayerResult& result, const PhaseLoad& dispatch, const PhaseLoad& combine) {
    std::vector<std::int64_t> busy(capacity_.size());
    for (std::size_t i = 0; i < busy.size(); ++i) {
      const std::int64_t bytes = dispatch.link_bytes[i] + combine.link_bytes[i];
      busy[i] = ticks(Seconds{dispatch.link_seconds[i] + combine.link_seconds[i]}).picoseconds;
      result_.link_bytes[i] += bytes;
      const Link& link = model_.cluster.links[i];
      if (link.kind == LinkKind::kNic &&
          model_.cluster.vertices[link.source.index()].kind == VertexKind::kNic) {
        result.scale_out_bytes += bytes;
      }
    }
    for (const std::size_t i : largest(busy, kHotSpots)) {
      const std::int64_t bytes = dispatch.link_bytes[i] + combine.link_bytes[i];
      result.hot_links.push_back({id_at<LinkId>(i), bytes, SimTime{busy[i]}.to_seconds()});
    }
  }

  const StepModel& model_;
  std::vector<BytesPerSecond> capacity_;
  PathFinder finder_;
  PathTable paths_;
  TaskGraph graph_;
  std::vector<PreparedLayer> prepared_;
  std::vector<LayerTasks> layers_;
  std::vector<std::vector<double>> dispatch_load_s_;  ///< by layer, then LinkId
  std::size_t first_background_ = 0;                  ///< its tasks are the last
  StepResult result_;
};

}  // namespace

std::vector<BytesPerSecond> effective_capacities(const Cluster& cluster,
                                                 const CostConstants& constants) {
  std::vector<BytesPerSecond> capacity = usable_capacities(cluster);
  for (std::size_t i = 0; i < capacity.size(); ++i) {
    switch (cluster.links[i].kind) {
      case LinkKind::kScaleUp:
        capacity[i] = capacity[i] * constants.scale_up_efficiency;
        break;
      case LinkKind::kNic:
      case LinkKind::kFabric:
        capacity[i] = capacity[i] * constants.scale_out_efficiency;
        break;
      case LinkKind::kPcie:
        break;
    }
  }
  return capacity;
}

std::vector<PreparedLayer> prepare_step(const StepModel& model, int step) {
  std::vector<PreparedLayer> layers(static_cast<std::size_t>(model.layers));
  // A context of its own: when another step of a replay throws, TBB cancels the loop over steps,
  // and a loop bound to it would return with layers unprepared.
  tbb::task_group_context own(tbb::task_group_context::isolated);
  const auto prepare = [&](std::size_t layer) {
    layers[layer] = prepare_layer(model, step, static_cast<int>(layer));
  };
  tbb::parallel_for(std::size_t{0}, layers.size(), prepare, own);
  return layers;
}

StepResult simulate_step(const StepModel& model, int step) {
  return simulate_prepared(model, step, prepare_step(model, step));
}

StepResult simulate_prepared(const StepModel& model, int step, std::vector<PreparedLayer> layers) {
  return StepRun(model, step, std::move(layers)).run();
}

StepTrace trace_step(const StepModel& model, int step, SimTime makespan) {
  return StepRun(model, step, prepare_step(model, step)).trace(makespan);
}

}  // namespace moesim
