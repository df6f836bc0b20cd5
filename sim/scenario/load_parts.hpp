// SPDX-License-Identifier: Apache-2.0
// Parts of a scenario read by themselves, for commands that need no whole one.
#pragma once

#include <string>

#include "sim/moe/expert_cost.hpp"
#include "topology/cluster.hpp"

namespace moesim {

/// A preset of scenarios/clusters by name, or a path. UserError with every mistake.
[[nodiscard]] ClusterSpec load_cluster(const std::string& name);

/// The constants of scenarios/calibration/assumed.toml.
[[nodiscard]] CostConstants load_assumed_constants();

}  // namespace moesim
