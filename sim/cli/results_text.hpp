// SPDX-License-Identifier: Apache-2.0
// Points of a study as a table for people, CSV, JSON and a page.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

#include "sim/study/result_table.hpp"

namespace moesim::cli {

/// At most `most_rows` rows; columns without "message", which stands below for refused points.
[[nodiscard]] std::string results_text(const ResultTable& table, std::size_t most_rows);
[[nodiscard]] std::string results_csv(const ResultTable& table);
[[nodiscard]] std::string results_json(const std::string& study, const ResultTable& table);

/// Writes results.csv, results.json and, where the build has the page, report.html.
void write_result_table(const std::filesystem::path& folder,
                        const std::string& study,
                        const ResultTable& table);

}  // namespace moesim::cli
