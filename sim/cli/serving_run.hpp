// SPDX-License-Identifier: Apache-2.0
// `moesim run` of requests over time.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "sim/cli/options.hpp"
#include "sim/report/serving_report.hpp"
#include "sim/scenario/scenario.hpp"

namespace moesim::cli {

struct ServingControl {
  int threads = 0;                 ///< 0: all cores
  bool progress = true;            ///< on a terminal
  std::filesystem::path out = {};  ///< of the result: paths of the resolved scenario start there
  std::optional<std::vector<InputDigest>> inputs = {};  ///< if they are known already
};

/// Serves the scenario's requests. Ctrl-C ends the simulated time there: the report is `partial`.
/// @param file  the scenario's name in the report
[[nodiscard]] ServingReport simulate_serving(const std::filesystem::path& file,
                                             const Scenario& scenario,
                                             const ServingControl& control);

/// Serves the scenario's requests and shows what they met; files with --out. Ctrl-C ends the
/// simulated time there: what is done is reported (`partial`), exit code 130.
/// @param timeline  also write timeline.json.gz
void run_serving(const ScenarioOptions& options, bool timeline = false);

}  // namespace moesim::cli
