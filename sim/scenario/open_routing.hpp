// SPDX-License-Identifier: Apache-2.0
// The routing of a scenario: opened, compared with the model and the capacity policy, and what a
// reader of the result must know of it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sim/core/pace.hpp"
#include "sim/moe/routing.hpp"
#include "sim/scenario/scenario.hpp"

namespace moesim {

class AssemblyCache;

/// The source of `layers` MoE layers, with candidates where the policy asks for them. Throws
/// UserError where it does not fit the model or the policy.
/// @param cache  of sources shared with other scenarios; may be null
/// @param pace   of what it draws or learns, as long as it lives
[[nodiscard]] std::unique_ptr<RoutingSource> open_scenario_routing(const Scenario& scenario,
                                                                   int layers,
                                                                   AssemblyCache* cache,
                                                                   const Pace& pace = {});

void note_routing(const Scenario& scenario,
                  const RoutingSourceInfo& routing,
                  std::vector<std::string>& notes);

/// Sentences: which parts of the run were recorded (or made up) independently of each other, so
/// that nothing of one depends on the other as it would in one recording.
[[nodiscard]] std::vector<std::string> joins_of(const Scenario& scenario,
                                                const RoutingSourceInfo& routing);

}  // namespace moesim
