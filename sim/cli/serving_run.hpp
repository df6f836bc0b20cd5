// SPDX-License-Identifier: Apache-2.0
// `moesim run` of requests over time.
#pragma once

#include "sim/cli/options.hpp"

namespace moesim::cli {

/// Serves the scenario's requests and shows what they met; files with --out. Ctrl-C ends the
/// simulated time there: what is done is reported (`partial`), exit code 130.
void run_serving(const ScenarioOptions& options);

}  // namespace moesim::cli
