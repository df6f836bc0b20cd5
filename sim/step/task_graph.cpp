// SPDX-License-Identifier: Apache-2.0
#include "sim/step/task_graph.hpp"

#include <algorithm>
#include <numeric>

#include "sim/core/check.hpp"
#include "sim/des/event_queue.hpp"
#include "sim/step/link_series.hpp"
#include "sim/step/paces.hpp"

namespace moesim {

TaskId TaskGraph::add_delay(TaskLabel label, SimTime duration) {
  tasks.push_back({.label = label, .duration = duration, .flow_path = -1, .bytes = {}});
  return id_at<TaskId>(tasks.size() - 1);
}

TaskId TaskGraph::add_flow(TaskLabel label, std::int32_t path, Bytes bytes) {
  tasks.push_back({.label = label, .duration = {}, .flow_path = path, .bytes = bytes});
  return id_at<TaskId>(tasks.size() - 1);
}

namespace {

/// Successors of every task, packed: those of task t at [begin[t], begin[t + 1]).
struct Successors {
  std::vector<std::uint32_t> begin;
  std::vector<TaskId> tasks;

  explicit Successors(const TaskGraph& graph)
      : begin(graph.tasks.size() + 1), tasks(graph.edges.size()) {
    for (const auto& [before, after] : graph.edges) {
      ++begin[before.index() + 1];
    }
    std::partial_sum(begin.begin(), begin.end(), begin.begin());
    std::vector<std::uint32_t> next(begin.begin(), begin.end() - 1);
    for (const auto& [before, after] : graph.edges) {
      tasks[next[before.index()]++] = after;
    }
  }
  [[nodiscard]] std::span<const TaskId> of(TaskId task) const {
    return std::span(tasks).subspan(begin[task.index()],
                                    begin[task.index() + 1] - begin[task.index()]);
  }
};

class Execution {
 public:
  Execution(const TaskGraph& graph, Network& network, LinkWatch* watch)
      : graph_(graph),
        network_(network),
        watch_(watch),
        successors_(graph),
        waiting_for_(graph.tasks.size()) {
    times_.start.resize(graph.tasks.size());
    times_.end.resize(graph.tasks.size());
    times_.bound_by.resize(graph.tasks.size());
    for (const auto& [before, after] : graph.edges) {
      ++waiting_for_[after.index()];
    }
    if (!graph.kernels.empty()) {
      paces_.emplace(graph);
    }
  }

  TaskTimes run() {
    for (std::size_t i = 0; i < graph_.tasks.size(); ++i) {
      if (waiting_for_[i] == 0) {
        start(id_at<TaskId>(i), SimTime{});
      }
    }
    finish_instant_tasks(SimTime{});
    while (advance()) {
    }
    MOESIM_CHECK(finished_ == graph_.tasks.size(), "a task graph with a cycle");
    if (watch_ != nullptr) {
      watch_->look(network_, task_of_flow_);
    }
    return std::move(times_);
  }

 private:
  /// Fires the next completion of the network or the next event; false when nothing is left.
  bool advance() {
    const bool is_over = queue_.empty() && flows_done_ == task_of_flow_.size();
    const SimTime look = watch_ == nullptr || is_over ? SimTime::never() : watch_->next();
    const std::span<const FlowId> completed = network_.advance(std::min(look, queue_.next_time()));
    if (!completed.empty()) {
      flows_done_ += completed.size();
      for (const FlowId flow : completed) {
        finish(task_of_flow_[flow.index()], network_.now());
      }
      finish_instant_tasks(network_.now());
      return true;
    }
    if (look < queue_.next_time()) {
      watch_->look(network_, task_of_flow_);
      return true;
    }
    if (queue_.empty()) {
      return false;
    }
    const Event event = queue_.pop();
    const TaskId task{event.payload};
    if (!paces_ || paces_->is_end(task, event.time)) {
      finish(task, event.time);
      finish_instant_tasks(event.time);
    }
    return true;
  }

  void start(TaskId id, SimTime now) {
    const Task& task = graph_.tasks[id.index()];
    times_.start[id.index()] = now;
    if (paces_) {
      paces_->open(id, now, queue_);
    }
    if (task.flow_path >= 0) {
      const FlowPath& path = graph_.paths[static_cast<std::size_t>(task.flow_path)];
      network_.start({.links = path.links, .bytes = task.bytes, .latency = path.latency});
      task_of_flow_.push_back(id);
    } else if (task.duration == SimTime{}) {
      instant_.push_back(id);
    } else if (paces_) {
      paces_->begin(id, now, queue_);
    } else {
      queue_.push(now + task.duration, Phase::kFinish, id.value);
    }
  }

  void finish(TaskId id, SimTime now) {
    times_.end[id.index()] = now;
    ++finished_;
    if (paces_) {
      paces_->close(id, now, queue_);
    }
    for (const TaskId after : successors_.of(id)) {
      if (--waiting_for_[after.index()] == 0) {
        times_.bound_by[after.index()] = id;
        start(after, now);
      }
    }
  }

  /// Tasks without duration end where they start, in order of starting; chains of them too.
  void finish_instant_tasks(SimTime now) {
    for (std::size_t i = 0; i < instant_.size(); ++i) {
      finish(instant_[i], now);
    }
    instant_.clear();
  }

  const TaskGraph& graph_;
  Network& network_;
  LinkWatch* watch_;  ///< may be null
  Successors successors_;
  std::vector<std::uint32_t> waiting_for_;
  std::vector<TaskId> task_of_flow_;
  std::vector<TaskId> instant_;
  EventQueue queue_;
  std::optional<Paces> paces_;  ///< where the graph has kernels
  TaskTimes times_;
  std::size_t finished_ = 0;
  std::size_t flows_done_ = 0;
};

}  // namespace

TaskTimes execute(const TaskGraph& graph, Network& network) {
  return Execution(graph, network, nullptr).run();
}

TaskTimes execute(const TaskGraph& graph, Network& network, LinkWatch& watch) {
  return Execution(graph, network, &watch).run();
}

}  // namespace moesim
