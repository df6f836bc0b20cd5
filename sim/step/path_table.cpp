// SPDX-License-Identifier: Apache-2.0
#include "sim/step/path_table.hpp"

#include <utility>

namespace moesim {

PathTable::PathTable(const PathFinder& finder, int num_ranks, PathScope scope)
    : finder_(finder),
      num_ranks_(num_ranks),
      scope_(scope),
      index_(static_cast<std::size_t>(num_ranks) * static_cast<std::size_t>(num_ranks), -1) {}

std::int32_t PathTable::find(RankId source, RankId destination) {
  const std::size_t pair =
      source.index() * static_cast<std::size_t>(num_ranks_) + destination.index();
  if (index_[pair] < 0) {
    Path path = finder_.find(GpuId{source.value}, GpuId{destination.value}, pair, scope_);
    index_[pair] = static_cast<std::int32_t>(paths_.size());
    paths_.push_back({std::move(path.links), path.latency});
  }
  return index_[pair];
}

}  // namespace moesim
