// SPDX-License-Identifier: Apache-2.0
// Results as one HTML file that opens from disk: charts, tables and the numbers behind them.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <string_view>

#include "sim/report/run_report.hpp"

namespace moesim {

/// False in a build without npm (docs/report.md).
[[nodiscard]] bool has_page();

/// The page of a JSON report; its "format" decides what is drawn. Known: moesim-report (with
/// run_page_extra), moesim-whole-report, moesim-capacity, moesim-placement, moesim-compare,
/// moesim-validation.
/// @param extra  what the charts need beyond the report, or null
/// Empty when !has_page().
[[nodiscard]] std::string page_html(const nlohmann::ordered_json& report,
                                    const nlohmann::ordered_json& extra);
/// The same from a report's text.
[[nodiscard]] std::string page_html(std::string_view report_json);

/// The page of a run: the layers of single steps are left out of the report it carries, loads and
/// traffic come as sums over steps, wide ones in blocks (kMostCells), so that it stays below 5 MB.
[[nodiscard]] std::string run_page_html(const RunReport& report);

/// Loads, traffic, links and fabric of a run, summed over steps. Keys:
///   experts, ranks  block (columns to a cell), cells [layer][block] (the largest of the block),
///                   mean [layer] (over all columns)
///   traffic         ranks_per_cell, dispatch_bytes [source][destination]
///   link_kinds[]    kind, links, bytes, mean_busy_ratio, max_busy_ratio, busiest
///   busiest_links[] link, name, bytes, effective_bytes_per_s, busy_ratio
///   fabric          vertices, links, torus, grouped; null when too large to draw
/// A busy ratio is bytes / effective rate / sum of the makespans.
/// Checked by: page_test.
[[nodiscard]] nlohmann::ordered_json run_page_extra(const RunReport& report);

inline constexpr std::size_t kMostCells = 60'000;      ///< of one load chart
inline constexpr std::size_t kMostLinksDrawn = 3'000;  ///< pairs of vertices

}  // namespace moesim
