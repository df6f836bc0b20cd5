// SPDX-License-Identifier: Apache-2.0
// The tables of csv.hpp read row by row.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace moesim::traces {

struct CsvRow {
  std::vector<std::string> cells;
  int line = 0;  ///< where it starts, from 1
};

/// A table read row by row; nothing but a row is held.
class CsvReader {
 public:
  /// Reads the header line. `path` is for messages; it and `text` outlive the reader.
  CsvReader(const std::filesystem::path& path, std::string_view text);

  [[nodiscard]] const std::vector<std::string>& columns() const { return columns_; }
  [[nodiscard]] std::optional<std::size_t> find_column(std::string_view name) const;
  /// The column, or a UserError that names it and the ones there are.
  [[nodiscard]] std::size_t column(std::string_view name) const;
  /// The next row, with a cell for every column; false after the last.
  bool next(CsvRow& row);
  /// A cell as a whole number >= 0, or a UserError with its place.
  [[nodiscard]] std::int64_t whole_number(const CsvRow& row, std::size_t column) const;
  /// Throws "file:line:1: error: message".
  [[noreturn]] void refuse_row(const CsvRow& row, std::string message) const;

 private:
  void read_record(std::vector<std::string>& cells);
  bool accept(char c);
  std::string cell();
  std::string quoted();
  void require_short(std::string_view cell) const;

  const std::filesystem::path& path_;
  std::string_view text_;
  std::size_t at_ = 0;
  int line_ = 1;
  std::vector<std::string> columns_;
};

}  // namespace moesim::traces
