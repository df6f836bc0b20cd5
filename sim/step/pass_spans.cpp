// SPDX-License-Identifier: Apache-2.0
#include "sim/step/pass_spans.hpp"

#include "sim/step/pass_labels.hpp"

namespace moesim {
std::vector<TrackSpan> pass_spans(const TaskGraph& graph,
                                  std::span<const KernelSpan> kernels,
                                  std::span<const std::size_t> lane_of_kernel,
                                  std::span<const PassDirection> directions) {
  std::vector<TrackSpan> spans;
  for (std::size_t i = 0; i < kernels.size(); ++i) {
    const KernelSpan& kernel = kernels[i];
    const TaskLabel& label = graph.tasks[kernel.from.index()].label;
    TrackSpan span{
        .name = kernel_name(label),
        .rank = kernel.rank,
        .track = lane_of_kernel[i] == 0 ? Track::kCommunication : Track::kSecondCommunication,
        .layer = label.layer,
        .direction = directions[kernel.from.index()],
        .from = kernel.from,
        .to = kernel.until};
    spans.push_back(span);
    if (label.kind == TaskKind::kLaunch) {
      span.name = "kernel start";
      span.to = kernel.from;
      spans.push_back(span);
    }
  }
  for (std::size_t i = 0; i < graph.tasks.size(); ++i) {
    const Task& task = graph.tasks[i];
    const std::string_view name = compute_name(task.label.kind);
    if (!name.empty() && task.duration > SimTime{}) {
      spans.push_back({.name = name,
                       .rank = task.label.rank,
                       .track = Track::kCompute,
                       .layer = task.label.layer,
                       .direction = directions[i],
                       .from = id_at<TaskId>(i),
                       .to = id_at<TaskId>(i)});
    }
  }
  return spans;
}

}  // namespace moesim
