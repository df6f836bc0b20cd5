// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/traces/csv.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "sim/moe/traces/csv_reader.hpp"
#include "sim/moe/traces/refuse.hpp"

namespace moesim::traces {
namespace {

std::optional<std::size_t> place_of(const std::vector<std::string>& columns,
                                    std::string_view name) {
  const auto found = std::find(columns.begin(), columns.end(), name);
  if (found == columns.end()) {
    return std::nullopt;
  }
  return static_cast<std::size_t>(found - columns.begin());
}

std::size_t required_place(const std::filesystem::path& path,
                           const std::vector<std::string>& columns,
                           std::string_view name) {
  const std::optional<std::size_t> found = place_of(columns, name);
  if (!found) {
    refuse(path, fmt::format("no column \"{}\"; found: {}", name, fmt::join(columns, ", ")));
  }
  return *found;
}

constexpr std::size_t kMostCell = std::size_t{1} << 20U;  // bytes
constexpr std::size_t kMostCells = 65'536;                // of a row

/// A cell as a number, and where it stands for messages.
struct Cell {
  const std::filesystem::path& path;
  int line;
  const std::string& column;
};

std::int64_t whole(const Cell& at, const std::string& cell) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (error != std::errc{} || end != cell.data() + cell.size() || value < 0) {
    refuse_line(
        at.path,
        at.line,
        fmt::format("{}: \"{}\" is not a whole number from 0 to 2^63 - 1", at.column, cell));
  }
  return value;
}

}  // namespace

CsvReader::CsvReader(const std::filesystem::path& path, std::string_view text)
    : path_(path), text_(text) {
  if (text_.starts_with("\xef\xbb\xbf")) {  // byte order mark
    text_.remove_prefix(3);
  }
  if (text_.empty()) {
    refuse(path_, "empty; expected a header line of column names");
  }
  read_record(columns_);
}

bool CsvReader::next(CsvRow& row) {
  while (at_ < text_.size()) {
    row.line = line_;
    read_record(row.cells);
    if (row.cells.size() == 1 && row.cells[0].empty()) {
      continue;  // a blank line
    }
    if (row.cells.size() != columns_.size()) {
      refuse_row(
          row,
          fmt::format("{} cells, the header has {} columns", row.cells.size(), columns_.size()));
    }
    return true;
  }
  return false;
}

void CsvReader::read_record(std::vector<std::string>& cells) {
  cells.clear();
  do {
    if (cells.size() == kMostCells) {
      refuse_line(path_, line_, fmt::format("more than {} cells", kMostCells));
    }
    cells.push_back(cell());
  } while (accept(','));
  accept('\r');
  if (at_ < text_.size() && !accept('\n')) {
    refuse_line(path_, line_, "text follows a closing quote");
  }
  ++line_;
}

bool CsvReader::accept(char c) {
  if (at_ >= text_.size() || text_[at_] != c) {
    return false;
  }
  ++at_;
  return true;
}

std::string CsvReader::cell() {
  const std::string_view most = text_.substr(at_, kMostCell + 1);
  if (accept('"')) {
    return quoted();
  }
  const std::string_view plain = most.substr(0, most.find_first_of(",\r\n"));
  require_short(plain);
  at_ += plain.size();
  return std::string(plain);
}

std::string CsvReader::quoted() {
  const int opened = line_;
  std::string inside;
  while (at_ < text_.size()) {
    const char c = text_[at_++];
    if (c == '"' && !accept('"')) {
      return inside;
    }
    line_ += c == '\n' ? 1 : 0;
    inside += c;
    require_short(inside);
  }
  refuse_line(path_, opened, "a quote is never closed");
}

void CsvReader::require_short(std::string_view cell) const {
  if (cell.size() > kMostCell) {
    refuse_line(path_, line_, fmt::format("more than {} bytes in a cell", kMostCell));
  }
}

std::optional<std::size_t> CsvReader::find_column(std::string_view name) const {
  return place_of(columns_, name);
}

std::size_t CsvReader::column(std::string_view name) const {
  return required_place(path_, columns_, name);
}

std::int64_t CsvReader::whole_number(const CsvRow& row, std::size_t column) const {
  return whole({path_, row.line, columns_[column]}, row.cells[column]);
}

void CsvReader::refuse_row(const CsvRow& row, std::string message) const {
  refuse_line(path_, row.line, std::move(message));
}

std::optional<std::size_t> CsvTable::find_column(std::string_view name) const {
  return place_of(columns, name);
}

std::size_t CsvTable::column(std::string_view name) const {
  return required_place(path, columns, name);
}

std::int64_t CsvTable::whole_number(std::size_t row, std::size_t column) const {
  return whole({path, line_of_row[row], columns[column]}, rows[row][column]);
}

void CsvTable::refuse_row(std::size_t row, std::string message) const {
  refuse_line(path, line_of_row[row], std::move(message));
}

CsvTable parse_csv(const std::filesystem::path& path, std::string_view text) {
  CsvReader reader(path, text);
  CsvTable table{.path = path, .columns = reader.columns(), .rows = {}, .line_of_row = {}};
  for (CsvRow row; reader.next(row);) {
    table.rows.push_back(std::move(row.cells));
    table.line_of_row.push_back(row.line);
  }
  return table;
}

std::string csv_cell(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) {
    return std::string(text);
  }
  std::string cell = "\"";
  for (const char c : text) {
    cell += c == '"' ? "\"\"" : std::string(1, c);
  }
  return cell + "\"";
}

}  // namespace moesim::traces
