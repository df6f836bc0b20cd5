// SPDX-License-Identifier: Apache-2.0
// The paths that the ranks of one step use, found once per pair.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sim/core/ids.hpp"
#include "sim/step/task_graph.hpp"
#include "topology/paths.hpp"

namespace moesim {

/// A path of paths() and the part of a transfer's bytes that takes it.
struct PathPart {
  std::int32_t path = 0;
  double share = 1.0;
};

/// The parts of `bytes` that take each path, whole bytes that sum to `bytes`: the share of the
/// paths up to part i, rounded, less that up to part i - 1.
[[nodiscard]] std::vector<std::int64_t> split_bytes(std::int64_t bytes,
                                                    std::span<const PathPart> parts);

/// Calls each(path, part) for the parts of `bytes` that are not 0.
template <typename Each>
void for_split(std::int64_t bytes, std::span<const PathPart> parts, const Each& each) {
  if (parts.size() == 1) {
    if (bytes > 0) {
      each(parts.front().path, bytes);
    }
    return;
  }
  const std::vector<std::int64_t> split = split_bytes(bytes, parts);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (split[i] > 0) {
      each(parts[i].path, split[i]);
    }
  }
}

/// Paths of each (source rank, destination rank), looked up on first use. Rank r runs on GPU r.
class PathTable {
 public:
  PathTable(const PathFinder& finder, int num_ranks, PathScope scope);

  /// How a transfer between two different ranks is spread over paths; one part unless the path
  /// choice is per packet. Valid until the next call.
  std::span<const PathPart> find(RankId source, RankId destination);
  [[nodiscard]] const std::vector<FlowPath>& paths() const { return paths_; }

 private:
  /// parts_[first, first + count)
  struct Range {
    std::int32_t first = -1;
    std::int32_t count = 0;
  };

  const PathFinder& finder_;
  int num_ranks_;
  PathScope scope_;
  std::vector<Range> ranges_;  ///< [source * ranks + destination], first -1: not yet looked up
  std::vector<PathPart> parts_;
  std::vector<FlowPath> paths_;
};

}  // namespace moesim
