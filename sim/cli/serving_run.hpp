// SPDX-License-Identifier: Apache-2.0
// Requests over time, for every command that serves them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "sim/cli/options.hpp"
#include "sim/report/serving_report.hpp"
#include "sim/scenario/scenario.hpp"

namespace moesim::cli {

/// Called with done, total; may be empty.
struct ServingProgress {
  std::function<void(std::int64_t, std::int64_t)> requests;
  std::function<void(int, int)> checks;
};

/// Serves the scenario's requests. Once interrupted() is set the simulated time ends there
/// (`run.partial`) or steps are left unchecked.
/// @param file  the scenario's name in the report
[[nodiscard]] ServingReport simulate_serving(const std::filesystem::path& file,
                                             const Scenario& scenario,
                                             const ServingProgress& progress);

/// Serves the scenario's requests and shows what they met; files with --out. Ctrl-C ends the
/// simulated time there: what is done is reported (`partial`), exit code 130.
void run_serving(const ScenarioOptions& options);

}  // namespace moesim::cli
