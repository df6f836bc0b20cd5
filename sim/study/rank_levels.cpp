// SPDX-License-Identifier: Apache-2.0
#include "sim/study/rank_levels.hpp"

#include <map>
#include <utility>

#include "sim/step/layer_tasks.hpp"
#include "sim/step/path_table.hpp"

namespace moesim {

RankLevels rank_levels(const StepModel& model) {
  const PathFinder finder(model.cluster,
                          path_policy_of(model.dispatch, model.path_policy),
                          model.seed,
                          model.path_spread);
  PathTable paths(
      finder, model.ranks, model.dispatch.scale_up ? PathScope::kAny : PathScope::kScaleOutOnly);
  RankLevels levels;
  for (int rank = 0; rank < model.ranks; ++rank) {
    std::map<std::size_t, std::vector<std::size_t>> by_links;
    for (int other = 0; other < model.ranks; ++other) {
      if (other != rank) {
        const PathPart part = paths.find(RankId{rank}, RankId{other}).front();
        by_links[paths.paths()[static_cast<std::size_t>(part.path)].links.size()].push_back(
            static_cast<std::size_t>(other));
      }
    }
    std::vector<std::vector<std::size_t>>& of_rank = levels.emplace_back();
    for (auto& [links, others] : by_links) {
      of_rank.push_back(std::move(others));
    }
  }
  return levels;
}

}  // namespace moesim
