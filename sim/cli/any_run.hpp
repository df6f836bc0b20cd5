// SPDX-License-Identifier: Apache-2.0
// A scenario of any kind to its JSON report.
#pragma once

#include <filesystem>
#include <string>

#include "sim/scenario/assembly_cache.hpp"
#include "sim/scenario/scenario.hpp"

namespace moesim::cli {

/// What `moesim run --json` prints of the scenario: MoE layers, whole steps, or requests over time.
/// Throws UserError, Cancelled.
/// @param file   the scenario's name in the report
/// @param cache  of parts shared with other runs
[[nodiscard]] std::string json_of_run(const std::filesystem::path& file,
                                      const Scenario& scenario,
                                      int threads,
                                      AssemblyCache* cache);

}  // namespace moesim::cli
