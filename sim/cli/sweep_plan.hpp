// SPDX-License-Identifier: Apache-2.0
// The points of a study, loaded, with their keys: what a sweep enters into its store.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "sim/cli/point_simulator.hpp"
#include "sim/scenario/study_file.hpp"

namespace moesim::cli {

/// One scenario to simulate; several points may resolve to it.
struct SweepWork {
  std::string key;
  Scenario scenario;
  std::size_t point = 0;  ///< the first one
};

struct SweepPlan {
  StudyRecord study;
  std::vector<PointEntry> points;  ///< all of the study
  std::vector<SweepWork> work;     ///< all different, in order of their first points
  int refused = 0;                 ///< points that could not be loaded
};

/// Loads every point. One that cannot be loaded is entered as refused.
/// @param on_progress  points loaded, in all
/// Throws UserError when the study is wrong, or when no point at all can be loaded.
[[nodiscard]] SweepPlan plan_sweep(const StudyFile& study,
                                   PointSimulator& simulator,
                                   const std::function<void(int, int)>& on_progress);

}  // namespace moesim::cli
