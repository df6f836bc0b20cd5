// SPDX-License-Identifier: Apache-2.0
// The commands: each adds itself to the program and, when chosen, runs as its callback.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace moesim::cli {

void add_run_command(CLI::App& app);
void add_explain_command(CLI::App& app);
void add_calibrate_command(CLI::App& app);
void add_validate_command(CLI::App& app);
void add_check_command(CLI::App& app);
void add_memory_command(CLI::App& app);
void add_capacity_command(CLI::App& app);
void add_compare_command(CLI::App& app);
void add_place_command(CLI::App& app);
void add_plan_command(CLI::App& app);
void add_trace_command(CLI::App& app);
void add_topology_command(CLI::App& app);
void add_network_bench_command(CLI::App& app);
void add_measure_command(CLI::App& app);
void add_results_command(CLI::App& app);
void add_sweep_command(CLI::App& app);

/// "moesim 0.1.0" and which optional parts this build has.
[[nodiscard]] std::string version_text();

}  // namespace moesim::cli
