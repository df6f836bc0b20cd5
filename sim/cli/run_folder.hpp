// SPDX-License-Identifier: Apache-2.0
// The result folder of simulated MoE layers, as `moesim run --out` and the Python module write it.
#pragma once

#include <filesystem>

#include "sim/report/run_report.hpp"
#include "sim/scenario/scenario.hpp"

namespace moesim::cli {

struct RunFolder {
  bool timeline = false;  ///< also timeline.json.gz
  bool quiet = true;      ///< no progress
};

/// Writes the files of write_results. The page's links over time, and the timeline, come from one
/// more simulation of the slowest step of the scenario; for the page alone, only of up to two
/// million flows.
void write_run(const std::filesystem::path& folder,
               const Scenario& scenario,
               const RunReport& report,
               const RunFolder& what);

}  // namespace moesim::cli
