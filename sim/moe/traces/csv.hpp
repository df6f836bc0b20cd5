// SPDX-License-Identifier: Apache-2.0
// Comma-separated tables with a header line, as RFC 4180 has them: quotes, "" inside quotes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace moesim::traces {

struct CsvTable {
  std::filesystem::path path;
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;  ///< each as long as `columns`
  std::vector<int> line_of_row;                ///< where it starts, from 1

  [[nodiscard]] std::optional<std::size_t> find_column(std::string_view name) const;
  /// The column, or a UserError that names it and the ones there are.
  [[nodiscard]] std::size_t column(std::string_view name) const;
  /// A cell as a whole number >= 0, or a UserError with its place.
  [[nodiscard]] std::int64_t whole_number(std::size_t row, std::size_t column) const;
  /// Throws "file:line:1: error: message".
  [[noreturn]] void refuse_row(std::size_t row, std::string message) const;
};

/// Reads a table from text. `path` is for messages.
[[nodiscard]] CsvTable parse_csv(const std::filesystem::path& path, std::string_view text);

/// A cell as it is written: quoted if it holds a comma, a quote or a line break.
[[nodiscard]] std::string csv_cell(std::string_view text);

}  // namespace moesim::traces
