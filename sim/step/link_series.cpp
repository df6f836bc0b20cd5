// SPDX-License-Identifier: Apache-2.0
#include "sim/step/link_series.hpp"

namespace moesim {

void LinkWatch::look(const Network& network, std::span<const TaskId> task_of_flow) {
  left_.assign(task_of_flow.size(), 0.0);
  const FlowProgress* const progress = flow_progress(network);
  if (progress == nullptr || !progress->remaining(left_)) {
    next_ = SimTime::never();
    series_.bytes.clear();
    return;
  }
  series_.bytes.resize(groups_.count);
  for (std::vector<double>& values : series_.bytes) {
    values.push_back(0.0);
  }
  before_.resize(task_of_flow.size());
  for (; seen_ < task_of_flow.size(); ++seen_) {
    before_[seen_] = graph_.tasks[task_of_flow[seen_].index()].bytes.value;
    live_.push_back(static_cast<std::uint32_t>(seen_));
  }
  std::size_t kept = 0;
  for (const std::uint32_t flow : live_) {
    const double sent = before_[flow] - left_[flow];
    if (sent > 0.0) {
      add(flow, sent, task_of_flow);
      before_[flow] = left_[flow];
    }
    if (left_[flow] > 0.0) {
      live_[kept++] = flow;
    }
  }
  live_.resize(kept);
  next_ = next_ + series_.interval;
}

void LinkWatch::add(std::size_t flow, double sent, std::span<const TaskId> task_of_flow) {
  const Task& task = graph_.tasks[task_of_flow[flow].index()];
  for (const LinkId link : graph_.paths[static_cast<std::size_t>(task.flow_path)].links) {
    for (const std::uint16_t group : groups_.of_link[link.index()]) {
      series_.bytes[group].back() += sent;
    }
  }
}

}  // namespace moesim
