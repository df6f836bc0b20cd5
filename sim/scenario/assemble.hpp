// SPDX-License-Identifier: Apache-2.0
// From a checked scenario to the model that steps run on.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sim/core/pace.hpp"
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
  std::vector<std::string> joins;          ///< what was put together though recorded apart
};

class AssemblyCache;

/// Builds the cluster, opens the trace and the placement and checks that they fit the model.
/// For step.kind = moe_layers. Throws UserError (another kind, trace and model differ in experts,
/// top_k or layers; unreachable GPUs).
/// @param cache  shares its parts with other assemblies; null: all is made anew
/// @param pace   of drawing and learning the routing, as long as the assembly (and the cache) lives
[[nodiscard]] Assembly assemble(const Scenario& scenario,
                                AssemblyCache* cache = nullptr,
                                const Pace& pace = {});

/// What a placement of the scenario's first `layers` MoE layers has to fit.
[[nodiscard]] PlacementSize placement_size(const Scenario& scenario, int layers);
/// The same for a whole model, all of its MoE layers; without routing for a dense one. Throws
/// UserError as well for a model that does not fit its GPUs, and for faults beside several groups.
[[nodiscard]] Assembly assemble_whole(const Scenario& scenario,
                                      AssemblyCache* cache = nullptr,
                                      const Pace& pace = {});
/// The same for step.kind = serving; routing is what placements were made from, not what requests
/// take (serving_model.hpp). Memory is checked there.
[[nodiscard]] Assembly assemble_serving(const Scenario& scenario, const Pace& pace = {});

}  // namespace moesim
