// SPDX-License-Identifier: Apache-2.0
#include "sim/study/survival.hpp"

#include <algorithm>

namespace moesim {

bool SurvivalRule::is_kept_by(std::span<const std::size_t> ranks) const {
  int nodes = 0;
  for (std::size_t i = 0; i < ranks.size() && nodes < least; ++i) {
    const auto same = [&](std::size_t rank) {
      return node_of_rank[rank] == node_of_rank[ranks[i]];
    };
    nodes += std::none_of(ranks.begin(), ranks.begin() + static_cast<std::ptrdiff_t>(i), same);
  }
  return nodes >= least;
}

bool SurvivalRule::is_kept_by_all(std::span<const ExpertId> expert_of_slot) const {
  if (!is_asked()) {
    return true;
  }
  const std::size_t slots_per_rank = expert_of_slot.size() / node_of_rank.size();
  std::vector<std::vector<std::size_t>> ranks_of_expert;
  for (std::size_t slot = 0; slot < expert_of_slot.size(); ++slot) {
    const std::size_t expert = expert_of_slot[slot].index();
    ranks_of_expert.resize(std::max(ranks_of_expert.size(), expert + 1));
    ranks_of_expert[expert].push_back(slot / slots_per_rank);
  }
  return std::all_of(ranks_of_expert.begin(), ranks_of_expert.end(), [&](const auto& ranks) {
    return is_kept_by(ranks);
  });
}

}  // namespace moesim
