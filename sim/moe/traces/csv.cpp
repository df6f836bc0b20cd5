// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/traces/csv.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "sim/moe/traces/refuse.hpp"

namespace moesim::traces {
namespace {

/// Cuts text into records, one call a record.
class Records {
 public:
  Records(const std::filesystem::path& path, std::string_view text) : path_(path), text_(text) {}

  [[nodiscard]] bool at_end() const { return at_ >= text_.size(); }
  [[nodiscard]] int line() const { return line_; }

  std::vector<std::string> next() {
    std::vector<std::string> cells;
    do {
      cells.push_back(cell());
    } while (accept(','));
    accept('\r');
    if (!at_end() && !accept('\n')) {
      refuse_line(path_, line_, "text follows a closing quote");
    }
    ++line_;
    return cells;
  }

 private:
  bool accept(char c) {
    if (at_end() || text_[at_] != c) {
      return false;
    }
    ++at_;
    return true;
  }

  std::string cell() {
    if (accept('"')) {
      return quoted();
    }
    const std::size_t end = std::min(text_.find_first_of(",\r\n", at_), text_.size());
    const std::string_view plain = text_.substr(at_, end - at_);
    at_ = end;
    return std::string(plain);
  }

  std::string quoted() {
    const int opened = line_;
    std::string inside;
    while (!at_end()) {
      const char c = text_[at_++];
      if (c == '"' && !accept('"')) {
        return inside;
      }
      line_ += c == '\n' ? 1 : 0;
      inside += c;
    }
    refuse_line(path_, opened, "a quote is never closed");
  }

  const std::filesystem::path& path_;
  std::string_view text_;
  std::size_t at_ = 0;
  int line_ = 1;
};

}  // namespace

std::optional<std::size_t> CsvTable::find_column(std::string_view name) const {
  const auto found = std::find(columns.begin(), columns.end(), name);
  if (found == columns.end()) {
    return std::nullopt;
  }
  return static_cast<std::size_t>(found - columns.begin());
}

std::size_t CsvTable::column(std::string_view name) const {
  const std::optional<std::size_t> found = find_column(name);
  if (!found) {
    refuse(path, fmt::format("no column \"{}\"; found: {}", name, fmt::join(columns, ", ")));
  }
  return *found;
}

std::int64_t CsvTable::whole_number(std::size_t row, std::size_t column) const {
  const std::string& cell = rows[row][column];
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (error != std::errc{} || end != cell.data() + cell.size() || value < 0) {
    refuse_row(
        row,
        fmt::format("{}: \"{}\" is not a whole number from 0 to 2^63 - 1", columns[column], cell));
  }
  return value;
}

void CsvTable::refuse_row(std::size_t row, std::string message) const {
  refuse_line(path, line_of_row[row], std::move(message));
}

CsvTable parse_csv(const std::filesystem::path& path, std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) {  // byte order mark
    text.remove_prefix(3);
  }
  Records records(path, text);
  if (records.at_end()) {
    refuse(path, "empty; expected a header line of column names");
  }
  CsvTable table{.path = path, .columns = records.next(), .rows = {}, .line_of_row = {}};
  while (!records.at_end()) {
    const int line = records.line();
    std::vector<std::string> cells = records.next();
    if (cells.size() == 1 && cells[0].empty()) {
      continue;  // a blank line
    }
    if (cells.size() != table.columns.size()) {
      refuse_line(
          path,
          line,
          fmt::format("{} cells, the header has {} columns", cells.size(), table.columns.size()));
    }
    table.rows.push_back(std::move(cells));
    table.line_of_row.push_back(line);
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
