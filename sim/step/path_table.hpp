// SPDX-License-Identifier: Apache-2.0
// The paths that the ranks of one step use, found once per pair.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/core/ids.hpp"
#include "sim/step/task_graph.hpp"
#include "topology/paths.hpp"

namespace moesim {

/// Path of each (source rank, destination rank), looked up on first use. Rank r runs on GPU r.
class PathTable {
 public:
  PathTable(const PathFinder& finder, int num_ranks, PathScope scope);

  /// Index into paths() of the path between two different ranks.
  std::int32_t find(RankId source, RankId destination);
  [[nodiscard]] const std::vector<FlowPath>& paths() const { return paths_; }

 private:
  const PathFinder& finder_;
  int num_ranks_;
  PathScope scope_;
  std::vector<std::int32_t> index_;  ///< [source * ranks + destination], -1: not yet looked up
  std::vector<FlowPath> paths_;
};

}  // namespace moesim
