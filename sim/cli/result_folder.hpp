// SPDX-License-Identifier: Apache-2.0
// Result files of a run.
#pragma once

#include <filesystem>

#include "sim/cli/gpu_report.hpp"
#include "sim/report/run_report.hpp"

namespace moesim::cli {

/// Writes report.json, summary.csv, layers.csv, experts.csv, ranks.csv, links.csv and scenario.toml
/// into a hidden folder beside `folder` and renames it into place: the folder is whole or not
/// there. An existing folder is replaced if a run made it (it holds report.json) or it is empty;
/// else UserError "--out DIR: exists and holds other files; ...".
void write_results(const std::filesystem::path& folder, const RunReport& report);

/// The same for `--backend gpu` (report.json is the measured one, and scenario.toml) and `both` (a
/// simulation's files, gpu_report.json and comparison.json).
void write_gpu_results(const std::filesystem::path& folder, const GpuReport& report);
void write_comparison(const std::filesystem::path& folder,
                      const RunReport& simulated,
                      const GpuReport& measured);

/// Throws the same UserError before any work is done.
void check_result_folder(const std::filesystem::path& folder);

}  // namespace moesim::cli
