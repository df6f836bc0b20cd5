// SPDX-License-Identifier: Apache-2.0
// What two keys of a scenario must agree on.
#pragma once

#include <vector>

#include "sim/core/diagnostics.hpp"
#include "sim/scenario/config_tree.hpp"
#include "sim/scenario/field_reader.hpp"

namespace moesim {

/// Every contradiction between keys that are right by themselves. Each names both keys and the
/// place of the second.
/// The scenario says itself that its model has no experts.
[[nodiscard]] bool is_dense(const ConfigTree& tree, const Scenario& scenario);

[[nodiscard]] std::vector<Diagnostic> cross_checks(const ConfigTree& tree,
                                                   const FieldReading& reading);

/// Of these, the ones inside [routing.generated] alone.
[[nodiscard]] std::vector<Diagnostic> generator_checks(const ConfigTree& tree,
                                                       const FieldReading& reading);

}  // namespace moesim
