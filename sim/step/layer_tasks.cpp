// SPDX-License-Identifier: Apache-2.0
#include "sim/step/layer_tasks.hpp"

#include <cstdint>

namespace moesim {
namespace {

TaskLabel label_of(const LayerWork& work, TaskKind kind, bool combine) {
  return {.kind = kind, .combine = combine, .layer = work.layer, .rank = 0};
}

/// One delay per rank, after the same rank's task of `before` (none: at the start).
std::vector<TaskId> add_compute(TaskGraph& graph,
                                TaskLabel label,
                                const std::vector<SimTime>& times,
                                const std::vector<TaskId>* before) {
  std::vector<TaskId> tasks;
  for (std::size_t r = 0; r < times.size(); ++r) {
    label.rank = static_cast<std::int32_t>(r);
    tasks.push_back(graph.add_delay(label, times[r]));
    if (before != nullptr) {
      graph.add_edge((*before)[r], tasks[r]);
    }
  }
  return tasks;
}

}  // namespace

PathPolicy path_policy_of(const DispatchSpec& dispatch, PathPolicy policy) {
  return dispatch.kind == DispatcherKind::kNccl && dispatch.pxn ? PathPolicy::kRailAligned : policy;
}

PhaseTasks append_dispatch(TaskGraph& graph,
                           const LayerWork& work,
                           const CommunicationModel& model,
                           PathTable& paths,
                           const std::vector<TaskId>& ready) {
  const TaskLabel label = label_of(work, TaskKind::kLaunch, false);
  if (work.traffic.notify.transfers.empty()) {
    return append_phase(graph, work.traffic.dispatch, model, paths, label, ready);
  }
  CommunicationModel counts_only = model;
  counts_only.message_gap = {};
  counts_only.message_overhead = {};
  counts_only.copy_rate = {};
  counts_only.dispatch.channels = 0;
  PhaseTasks notify = append_phase(graph, work.traffic.notify, counts_only, paths, label, ready);
  PhaseTasks dispatch =
      append_phase(graph, work.traffic.dispatch, model, paths, label, notify.done);
  return {std::move(notify.start), std::move(dispatch.done)};
}

PhaseTasks append_combine(TaskGraph& graph,
                          const LayerWork& work,
                          const CommunicationModel& model,
                          PathTable& paths,
                          const std::vector<TaskId>& ready) {
  return append_phase(
      graph, work.traffic.combine, model, paths, label_of(work, TaskKind::kLaunch, true), ready);
}

LayerTasks append_layer(TaskGraph& graph,
                        const LayerWork& work,
                        const CommunicationModel& model,
                        PathTable& paths,
                        const LayerTasks* previous) {
  LayerTasks layer;
  layer.gate = add_compute(graph,
                           label_of(work, TaskKind::kGate, false),
                           work.compute.gate,
                           previous == nullptr ? nullptr : &previous->done);
  PhaseTasks dispatch = append_dispatch(graph, work, model, paths, layer.gate);
  layer.dispatch_start = std::move(dispatch.start);
  layer.dispatch_done = std::move(dispatch.done);
  layer.experts = add_compute(
      graph, label_of(work, TaskKind::kExperts, false), work.compute.experts, &layer.dispatch_done);
  PhaseTasks combine = append_combine(graph, work, model, paths, layer.experts);
  layer.combine_start = std::move(combine.start);
  layer.combine_done = std::move(combine.done);
  layer.done = add_compute(
      graph, label_of(work, TaskKind::kReduce, true), work.compute.reduce, &layer.combine_done);
  return layer;
}

PhaseTasks append_plain_exchange(TaskGraph& graph,
                                 const CommPlan& plan,
                                 Seconds kernel_start,
                                 PathTable& paths,
                                 const std::vector<TaskId>& ready) {
  CommunicationModel model;
  model.dispatch.kind = DispatcherKind::kPairwise;
  model.kernel_start = kernel_start;
  return append_phase(graph, plan, model, paths, {}, ready);
}

}  // namespace moesim
