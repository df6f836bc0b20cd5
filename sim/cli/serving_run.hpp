// SPDX-License-Identifier: Apache-2.0
// `moesim run` of requests over time.
#pragma once

#include "sim/cli/options.hpp"
#include "sim/report/serving_report.hpp"
#include "sim/scenario/scenario.hpp"

namespace moesim::cli {

struct ServingControl {
  int threads = 0;       ///< 0: all cores
  bool progress = true;  ///< on a terminal
};

/// Serves the scenario's requests. Ctrl-C ends the simulated time there: the report is `partial`.
/// @param file  the scenario's name in the report
[[nodiscard]] ServingReport simulate_serving(const std::filesystem::path& file,
                                             const Scenario& scenario,
                                             const ServingControl& control);

/// Serves the scenario's requests and shows what they met; files with --out. Ctrl-C: what is done
/// is reported, exit code 130.
void run_serving(const ScenarioOptions& options);

}  // namespace moesim::cli
