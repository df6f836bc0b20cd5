// SPDX-License-Identifier: Apache-2.0
// Result files of a run.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/cli/gpu_report.hpp"
#include "sim/report/run_report.hpp"
#include "sim/report/timeline_counters.hpp"

namespace moesim::cli {

/// Writes report.json, report.html (where the build has the page), CSV tables and scenario.toml
/// into a hidden folder beside `folder` and renames it into place: the folder is whole or not
/// there. An existing folder is replaced if a run made it (it holds report.json) or it is empty;
/// else UserError "--out DIR: exists and holds other files; ...".
/// @param over_time  links over time, for the page; may be null
/// @param more       writes further files into the hidden folder
void write_results(const std::filesystem::path& folder,
                   const RunReport& report,
                   const Counters* over_time = nullptr,
                   const std::function<void(const std::filesystem::path&)>& more = {});

/// What is printed of a folder: "results: DIR/report.json; page: DIR/report.html", or why there is
/// no page.
[[nodiscard]] std::string results_line(const std::filesystem::path& folder, std::string_view mark);

/// Throws the same UserError before any work is done. `mark` is a file that such a folder holds.
void check_result_folder(const std::filesystem::path& folder,
                         std::string_view mark = "report.json");

/// A file of a result folder.
struct ResultFile {
  std::string name;
  std::string text;
};

/// Adds report.html, the page of a JSON report, where the build has the page.
void add_page(std::vector<ResultFile>& files, std::string_view report_json);
/// Adds report.html unless the page is empty, as it is in a build without it.
void add_page_html(std::vector<ResultFile>& files, std::string html);

/// Writes `files` as write_results does; the first of them marks the folder.
/// @param more  writes further files into the hidden folder
void write_folder(const std::filesystem::path& folder,
                  const std::vector<ResultFile>& files,
                  const std::function<void(const std::filesystem::path&)>& more = {});

/// The same for `--backend gpu` (report.json is the measured one, and scenario.toml) and `both` (a
/// simulation's files, gpu_report.json and comparison.json).
void write_gpu_results(const std::filesystem::path& folder, const GpuReport& report);
void write_comparison(const std::filesystem::path& folder,
                      const RunReport& simulated,
                      const GpuReport& measured);

}  // namespace moesim::cli
