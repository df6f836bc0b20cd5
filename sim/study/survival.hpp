// SPDX-License-Identifier: Apache-2.0
// On how many nodes experts must lie, so that lost nodes take none along.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "sim/core/ids.hpp"

namespace moesim {

/// Every expert has slots on at least `least` nodes: least - 1 of them may be lost.
struct SurvivalRule {
  std::vector<int> node_of_rank = {};  ///< may be empty while least is 1
  int least = 1;

  [[nodiscard]] bool is_asked() const { return least > 1; }
  /// Whether slots on these ranks are enough.
  [[nodiscard]] bool is_kept_by(std::span<const std::size_t> ranks) const;
  /// Whether every expert is on enough nodes. Slots lie in rank order. Experts 0 to the largest.
  [[nodiscard]] bool is_kept_by_all(std::span<const ExpertId> expert_of_slot) const;
};

}  // namespace moesim
