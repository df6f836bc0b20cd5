// SPDX-License-Identifier: Apache-2.0
// The routing source of a scenario, checked against its model.
#pragma once

#include <memory>

#include "sim/scenario/assemble.hpp"

namespace moesim {

/// For `layers` MoE layers, at least one. Throws UserError (trace and model differ in experts,
/// top_k or layers; the capacity policy asks for what the source does not have).
[[nodiscard]] std::unique_ptr<RoutingSource> open_source(const Scenario& scenario,
                                                         int layers,
                                                         AssemblyCache* cache);

}  // namespace moesim
