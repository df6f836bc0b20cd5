// SPDX-License-Identifier: Apache-2.0
#include "sim/step/path_table.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace moesim {

std::vector<std::int64_t> split_bytes(std::int64_t bytes, std::span<const PathPart> parts) {
  std::vector<std::int64_t> split;
  double share = 0.0;
  std::int64_t before = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    share += parts[i].share;
    const bool last = i + 1 == parts.size();
    const std::int64_t until =
        last ? bytes : std::llround(static_cast<double>(bytes) * std::min(share, 1.0));
    split.push_back(until - before);
    before = until;
  }
  return split;
}

PathTable::PathTable(const PathFinder& finder, int num_ranks, PathScope scope)
    : finder_(finder),
      num_ranks_(num_ranks),
      scope_(scope),
      ranges_(static_cast<std::size_t>(num_ranks) * static_cast<std::size_t>(num_ranks)) {}

std::span<const PathPart> PathTable::find(RankId source, RankId destination) {
  const std::size_t pair =
      source.index() * static_cast<std::size_t>(num_ranks_) + destination.index();
  Range& range = ranges_[pair];
  if (range.first < 0) {
    auto shares = finder_.find_all(GpuId{source.value}, GpuId{destination.value}, pair, scope_);
    range = {static_cast<std::int32_t>(parts_.size()), static_cast<std::int32_t>(shares.size())};
    for (PathShare& found : shares) {
      parts_.push_back({static_cast<std::int32_t>(paths_.size()), found.share});
      paths_.push_back({std::move(found.path.links), found.path.latency});
    }
  }
  return std::span(parts_).subspan(static_cast<std::size_t>(range.first),
                                   static_cast<std::size_t>(range.count));
}

}  // namespace moesim
