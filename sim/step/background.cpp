// SPDX-License-Identifier: Apache-2.0
#include <span>
#include <vector>

#include "sim/step/layer_tasks.hpp"

namespace moesim {

std::size_t append_background(TaskGraph& graph, const TrafficMatrix& bytes, PathTable& paths) {
  const std::size_t first = graph.tasks.size();
  const auto ranks = static_cast<std::size_t>(bytes.num_ranks);
  for (std::size_t pair = 0; pair < bytes.bytes.size(); ++pair) {
    if (bytes.bytes[pair] == 0) {
      continue;
    }
    const auto source = id_at<RankId>(pair / ranks);
    const std::span<const PathPart> parts = paths.find(source, id_at<RankId>(pair % ranks));
    const TaskLabel label{.kind = TaskKind::kBackground, .rank = source.value};
    for_split(bytes.bytes[pair], parts, [&](std::int32_t path, std::int64_t part) {
      graph.add_flow(label, path, moesim::bytes(static_cast<double>(part)));
    });
  }
  return first;
}

}  // namespace moesim
