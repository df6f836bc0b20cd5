// SPDX-License-Identifier: Apache-2.0
// How much of the traffic that a search saves in its window is saved in later steps too.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "sim/study/layer_resources.hpp"
#include "sim/study/placement_search.hpp"
#include "sim/study/rank_levels.hpp"

namespace moesim {

/// The placement that a search starts from when this is all the traffic it knows.
using StartMaker = std::function<Placement(const std::vector<ExpertTraffic>& traffic)>;

/// What a trial is made on: layers [first, first + layers) that get one map.
struct TrialSearch {
  const StepModel& model;  ///< candidates are tried by it
  const StepModel& own;    ///< with the choice of replicas that the map is for
  const LayerResources& resources;
  const RankLevels& levels;
  TrafficWindow window;
  int first = 0;
  int layers = 1;
};

/// What a trial tells of a search on the whole window.
struct TrialResult {
  bool pays = true;      ///< its map is faster in the second half than its start, by guarded()
  double sharing = 1.0;  ///< part of the saved dispatch + combine that is saved in it too, [0, 1]
  /// guarded() of the better of both in the second half, by `own`, summed over the layers: what
  /// searches with other choices of replicas can be compared by. None where there is no such half.
  std::optional<Seconds> later = {};
};

/// A quarter of the moves on the first half of the window, all of it believed, from a start that is
/// made from that half alone, as a map that is to be judged on steps it has not seen must be. What
/// was found is compared with the start in the second half:
///
///   sharing = (dispatch + combine of the start - of the map found, in the second half)
///           / (the same in the first half), 1 where the trial saves no traffic
///
/// What chance put together in the first half is not together in the second; what belongs together
/// is. The default where there is no second half. Source: sample splitting. Valid for: windows
/// whose halves are alike. Checked by: search_parts_test (does not pay where tokens choose by
/// themselves and EPLB has balanced; pays where experts are asked for together).
[[nodiscard]] TrialResult try_search(const TrialSearch& trial,
                                     const StartMaker& start_of,
                                     const SearchOptions& options);

}  // namespace moesim
