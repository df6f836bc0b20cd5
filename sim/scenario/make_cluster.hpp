// SPDX-License-Identifier: Apache-2.0
// From a scenario to the cluster graph with its faults, and what is wrong with it.
#pragma once

#include <vector>

#include "sim/core/diagnostics.hpp"
#include "sim/scenario/config_tree.hpp"
#include "sim/scenario/scenario.hpp"
#include "topology/faults.hpp"

namespace moesim {

struct ScenarioCluster {
  Cluster cluster;
  std::vector<std::string> hits;  ///< FaultOutcome::hits
  std::vector<int> lost_nodes;    ///< FaultOutcome::lost_nodes
};

/// Builds the cluster, or reads its GraphML file, and applies the faults of a loaded scenario.
/// Throws UserError (too many links), EnvironmentError (the file is gone).
[[nodiscard]] ScenarioCluster make_cluster(const Scenario& scenario);

/// What only the graph shows: a GraphML file that is wrong or has other counts, rules that fit
/// nothing, a lost node whose experts no replica can have. Call it when all keys are right by
/// themselves; builds the cluster only if there is such a key.
[[nodiscard]] std::vector<Diagnostic> cluster_checks(const Scenario& scenario,
                                                     const ConfigTree& tree);

}  // namespace moesim
