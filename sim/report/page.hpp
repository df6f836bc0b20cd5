// SPDX-License-Identifier: Apache-2.0
// Results as one HTML file that opens from disk: charts, tables and the numbers behind them.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <string_view>

#include "sim/report/plan_report.hpp"
#include "sim/report/run_report.hpp"
#include "sim/report/serving_report.hpp"
#include "sim/report/timeline_counters.hpp"

namespace moesim {

/// False in a build without npm (docs/report.md).
[[nodiscard]] bool has_page();

/// The page of a JSON report; its "format" decides what is drawn. Known: moesim-report (with
/// run_page_extra), moesim-whole-report, moesim-serving-report (with serving_page_extra),
/// moesim-capacity, moesim-placement, moesim-plan, moesim-results, moesim-compare,
/// moesim-validation, moesim-gpu-report, moesim-comparison.
/// @param extra  what the charts need beyond the report, or null
/// Empty when !has_page().
[[nodiscard]] std::string page_html(const nlohmann::ordered_json& report,
                                    const nlohmann::ordered_json& extra);
/// The same from a report's text.
[[nodiscard]] std::string page_html(std::string_view report_json);

/// The page of a comparison with measurements; the simulated report in it loses its single steps.
[[nodiscard]] std::string comparison_page_html(std::string_view comparison_json);

/// The page of a run: the layers of single steps are left out of the report it carries, loads and
/// traffic come as sums over steps, wide ones in blocks (kMostCells), so that it stays below 5 MB.
/// @param over_time  links of one step over its time; may be null
[[nodiscard]] std::string run_page_html(const RunReport& report,
                                        const Counters* over_time = nullptr);

/// Loads, traffic, links and fabric of a run, summed over steps. Keys:
///   experts, ranks  block (columns to a cell), cells [layer][block] (the largest of the block),
///                   mean [layer] (over all columns)
///   traffic         ranks_per_cell, dispatch_bytes [source][destination]
///   link_kinds[]    kind, links, bytes, mean_busy_ratio, max_busy_ratio, busiest
///   busiest_links[] link, name, bytes, effective_bytes_per_s, busy_ratio
///   fabric          vertices, links, torus, grouped; null when too large to draw
///   over_time       interval_s, is_exact, lines[] (name, busy_ratio[]) of the slowest step, at
///   most
///                   kMostMoments intervals; null when not asked for
/// A busy ratio is bytes / effective rate / sum of the makespans.
/// Checked by: page_test.
[[nodiscard]] nlohmann::ordered_json run_page_extra(const RunReport& report,
                                                    const Counters* over_time = nullptr);

/// The page of requests over time.
[[nodiscard]] std::string serving_page_html(const ServingReport& report);

/// Requests and state of a serving run. Keys:
///   quantiles  ttft_s, tpot_s, latency_s, queue_s: values of counted requests by nearest rank,
///              ascending, evenly spaced: the i-th of n (from 1) is that of share i / n
///   series     the columns of series.csv but steps, intervals_per_row intervals to a row
///   sample     every (counted request that is shown), requests[]: arrival_s, prompt_tokens,
///              output_tokens, ttft_s, latency_s, within_slo
/// Checked by: page_test.
[[nodiscard]] nlohmann::ordered_json serving_page_extra(const ServingReport& report);

/// The page of a plan. It carries kMostPagePoints configurations at most: simulated ones before
/// others. Its extra: left_out, the number of those that it does not carry.
[[nodiscard]] std::string plan_page_html(const PlanReport& report);

/// The page of a JSON document of results (moesim-results), with kMostPagePoints points at most;
/// its extra: left_out.
[[nodiscard]] std::string results_page_html(std::string_view results_json);

inline constexpr std::size_t kMostQuantiles = 400;
inline constexpr std::size_t kMostIntervals = 600;     ///< rows of a chart over time
inline constexpr std::size_t kMostRequests = 1'500;    ///< drawn one by one
inline constexpr std::size_t kMostPagePoints = 5'000;  ///< of a plan or a study
inline constexpr std::size_t kMostMoments = 250;       ///< of links over time
inline constexpr std::size_t kMostCells = 60'000;      ///< of one load chart
inline constexpr std::size_t kMostLinksDrawn = 3'000;  ///< pairs of vertices

}  // namespace moesim
