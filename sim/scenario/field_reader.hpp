// SPDX-License-Identifier: Apache-2.0
// ConfigTree -> Scenario, key by key. What two keys must agree on is in cross_checks.hpp; what a
// path means is in data_folder.hpp.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "sim/core/diagnostics.hpp"
#include "sim/scenario/config_tree.hpp"
#include "sim/scenario/fields.hpp"
#include "sim/scenario/scenario.hpp"

namespace moesim {

struct FieldReading {
  Scenario scenario;                    ///< keys that are missing or wrong keep their defaults
  std::vector<Diagnostic> diagnostics;  ///< every mistake of a single key
  std::set<std::string, std::less<>> unusable;  ///< paths with a mistake; do not compare them
};

/// @param file the scenario, named where a whole table is missing
[[nodiscard]] FieldReading read_fields(const ConfigTree& tree, const std::string& file);

/// Keys of another file than a scenario, declared by `visit` in the same manner; what it sets are
/// the values read. Unknown keys inside its tables are mistakes; other tables are not looked at.
[[nodiscard]] std::vector<Diagnostic> read_tables(const ConfigTree& tree,
                                                  const std::string& file,
                                                  const std::function<void(FieldVisitor&)>& visit);

}  // namespace moesim
