// SPDX-License-Identifier: Apache-2.0
// `moesim run` of a whole model.
#pragma once

#include "sim/cli/options.hpp"

namespace moesim::cli {

/// Simulates the scenario's prefill, decode or training steps and shows them.
void run_whole(const ScenarioOptions& options);

}  // namespace moesim::cli
