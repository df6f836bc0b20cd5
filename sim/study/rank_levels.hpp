// SPDX-License-Identifier: Apache-2.0
// Which ranks are how near to each other on the cluster graph: what searches move experts along.
#pragma once

#include <cstddef>
#include <vector>

#include "sim/step/step.hpp"

namespace moesim {

/// The other ranks of each rank by the number of links on the way there: [rank][level], nearest
/// first, ranks ascending. On nodes with a scale-up switch level 0 is the domain; on rails the next
/// one is the same rail, then the same leaf group, then what lies behind spines and cores.
/// Source: the paths that the step itself uses. Checked by: search_parts_test.
using RankLevels = std::vector<std::vector<std::vector<std::size_t>>>;
[[nodiscard]] RankLevels rank_levels(const StepModel& model);

}  // namespace moesim
