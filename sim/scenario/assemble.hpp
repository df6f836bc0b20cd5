// SPDX-License-Identifier: Apache-2.0
// From a checked scenario to the model that steps run on.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sim/moe/placement_file.hpp"
#include "sim/moe/routing.hpp"
#include "sim/scenario/scenario.hpp"
#include "sim/step/step.hpp"

namespace moesim {

struct Assembly {
  std::unique_ptr<RoutingSource> routing;  ///< none in a dense model
  StepModel step;                          ///< refers to *routing
  std::vector<std::string> faults;         ///< what is broken, slow or taken, a sentence each
  std::vector<std::string> notes;          ///< sentences a reader of the result must know
};

class AssemblyCache;

/// Builds the cluster, opens the trace and the placement and checks that they fit the model.
/// For step.kind = moe_layers. Throws UserError (another kind, trace and model differ in experts,
/// top_k or layers; unreachable GPUs).
/// @param cache  shares its parts with other assemblies; null: all is made anew
[[nodiscard]] Assembly assemble(const Scenario& scenario, AssemblyCache* cache = nullptr);

/// What a placement of the scenario's first `layers` MoE layers has to fit.
[[nodiscard]] PlacementSize placement_size(const Scenario& scenario, int layers);
/// The same for a whole model, all of its MoE layers; without routing for a dense one. Throws
/// UserError as well for a model that does not fit its GPUs, for training and for pipelines.
[[nodiscard]] Assembly assemble_whole(const Scenario& scenario, AssemblyCache* cache = nullptr);
/// The same for step.kind = serving; routing is what placements were made from, not what requests
/// take (serving_model.hpp). Memory is checked there.
[[nodiscard]] Assembly assemble_serving(const Scenario& scenario);

}  // namespace moesim
