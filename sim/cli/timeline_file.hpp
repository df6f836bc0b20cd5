// SPDX-License-Identifier: Apache-2.0
// The timeline of a run.
#pragma once

#include <filesystem>

#include "sim/report/run_report.hpp"
#include "sim/scenario/scenario.hpp"

namespace moesim::cli {

/// Simulates the slowest step of the report again and writes its timeline, gzipped (sim/report's
/// timeline.hpp). The first of equally slow ones.
void write_timeline_file(const std::filesystem::path& file,
                         const Scenario& scenario,
                         const RunReport& report);

}  // namespace moesim::cli
