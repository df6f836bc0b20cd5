// SPDX-License-Identifier: Apache-2.0
#include "sim/step/paces.hpp"

#include <algorithm>
#include <cmath>

#include "sim/core/check.hpp"

namespace moesim {
namespace {

SimTime scaled(SimTime time, double factor) {
  return {std::llround(static_cast<double>(time.picoseconds) * factor)};
}

}  // namespace

Paces::Paces(const TaskGraph& graph)
    : graph_(graph), opens_(graph.tasks.size(), -1), closes_(graph.tasks.size(), -1) {
  std::int32_t last = 0;
  for (const Task& task : graph.tasks) {
    last = std::max(last, task.label.rank);
  }
  for (const KernelSpan& kernel : graph.kernels) {
    MOESIM_CHECK(opens_[kernel.from.index()] < 0 && closes_[kernel.until.index()] < 0,
                 "two kernels begin or end with one task");
    opens_[kernel.from.index()] = kernel.rank;
    closes_[kernel.until.index()] = kernel.rank;
    last = std::max(last, kernel.rank);
  }
  ranks_.resize(static_cast<std::size_t>(last) + 1);
}

void Paces::open(TaskId task, SimTime now, EventQueue& queue) {
  if (const std::int32_t rank = opens_[task.index()]; rank >= 0) {
    Rank& of = ranks_[static_cast<std::size_t>(rank)];
    change(of, of.kernels + 1, now, queue);
  }
}

void Paces::close(TaskId task, SimTime now, EventQueue& queue) {
  if (const std::int32_t rank = closes_[task.index()]; rank >= 0) {
    Rank& of = ranks_[static_cast<std::size_t>(rank)];
    change(of, of.kernels - 1, now, queue);
  }
}

SimTime Paces::length(const Running& running, bool beside) const {
  const double pace = beside ? graph_.tasks[running.task.index()].beside : 1.0;
  return scaled(running.remaining, 1 / pace);
}

void Paces::change(Rank& rank, int kernels, SimTime now, EventQueue& queue) {
  const bool before = rank.kernels > 0;
  rank.kernels = kernels;
  if (before == (kernels > 0)) {
    return;
  }
  for (Running& running : rank.running) {
    const double pace = before ? graph_.tasks[running.task.index()].beside : 1.0;
    const SimTime done = scaled(now - running.since, pace);
    running.remaining = running.remaining - std::min(done, running.remaining);
    running.since = now;
    running.end = now + length(running, kernels > 0);
    queue.push(running.end, Phase::kFinish, running.task.value);
  }
}

void Paces::begin(TaskId id, SimTime now, EventQueue& queue) {
  const Task& task = graph_.tasks[id.index()];
  if (task.beside >= 1) {
    queue.push(now + task.duration, Phase::kFinish, id.value);
    return;
  }
  Rank& rank = ranks_[static_cast<std::size_t>(task.label.rank)];
  Running running{.task = id, .since = now, .remaining = task.duration, .end = {}};
  running.end = now + length(running, rank.kernels > 0);
  queue.push(running.end, Phase::kFinish, id.value);
  rank.running.push_back(running);
}

bool Paces::is_end(TaskId id, SimTime now) {
  const Task& task = graph_.tasks[id.index()];
  if (task.beside >= 1) {
    return true;
  }
  std::vector<Running>& running = ranks_[static_cast<std::size_t>(task.label.rank)].running;
  const auto found =
      std::find_if(running.begin(), running.end(), [&](const Running& r) { return r.task == id; });
  if (found == running.end() || found->end != now) {
    return false;
  }
  running.erase(found);
  return true;
}

}  // namespace moesim
