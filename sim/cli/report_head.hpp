// SPDX-License-Identifier: Apache-2.0
// What every report says of its scenario.
#pragma once

#include "sim/cli/options.hpp"
#include "sim/report/run_report.hpp"
#include "sim/scenario/assemble.hpp"

namespace moesim::cli {

/// Version, scenario, seed, digests of inputs, notes, evidence and routing; no links, no steps.
[[nodiscard]] RunReport report_head(const ScenarioOptions& options,
                                    const Scenario& scenario,
                                    const Assembly& assembly);

}  // namespace moesim::cli
