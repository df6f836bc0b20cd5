// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/results_text.hpp"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "sim/core/atomic_file.hpp"
#include "sim/report/page.hpp"
#include "sim/report/table.hpp"

namespace moesim::cli {
namespace {

using Json = nlohmann::ordered_json;

/// The unit that the last key with one states: "summary.step_s.mean" is a time.
bool has_unit(std::string_view column, std::string_view unit) {
  const std::size_t at = column.rfind(unit);
  return at != std::string_view::npos &&
         (at + unit.size() == column.size() || column[at + unit.size()] == '.');
}

/// Scenario keys stay as they were stated; numbers of reports are made readable.
std::string cell_text(const std::string& column, const Scalar& value) {
  const auto* number = std::get_if<double>(&value);
  if (number == nullptr) {
    return to_text(value);
  }
  if (has_unit(column, "_bytes")) {
    return readable_bytes(*number);
  }
  if (has_unit(column, "_s")) {
    return readable_time(*number);
  }
  return fmt::format("{:.6g}", *number);
}

/// "summary.step_s.mean" is "step_s.mean" in a heading.
std::string heading(const std::string& column) {
  constexpr std::string_view kSummary = "summary.";
  return column.starts_with(kSummary) ? column.substr(kSummary.size()) : column;
}

std::string csv_cell(const Scalar& value) {
  std::string text = to_text(value);
  if (text.find_first_of(",\"\r\n") == std::string::npos) {
    return text;
  }
  std::string quoted;
  for (const char c : text) {
    quoted.append(c == '"' ? 2 : 1, c);
  }
  return fmt::format("\"{}\"", quoted);
}

std::optional<std::size_t> index_of(const ResultTable& table, std::string_view column) {
  const auto found = std::find(table.columns.begin(), table.columns.end(), column);
  return found == table.columns.end()
             ? std::nullopt
             : std::optional(static_cast<std::size_t>(found - table.columns.begin()));
}

/// Why points were refused.
std::string refusals(const ResultTable& table) {
  constexpr int kMost = 5;
  const auto message = index_of(table, "message");
  const auto point = index_of(table, "point");
  if (!message || !point) {
    return "";
  }
  std::string text;
  int refused = 0;
  for (const std::vector<Scalar>& row : table.rows) {
    const std::string why = to_text(row[*message]);
    if (!why.empty() && ++refused <= kMost) {
      text += fmt::format("point {} is refused: {}\n", to_text(row[*point]), why);
    }
  }
  if (refused > kMost) {
    text += fmt::format("and {} more are refused; --columns point,message shows why\n",
                        refused - kMost);
  }
  return text.empty() ? text : fmt::format("\n{}", text);
}

}  // namespace

std::string results_text(const ResultTable& whole, std::size_t most_rows) {
  std::vector<std::size_t> shown;
  std::vector<std::string> head;
  for (std::size_t c = 0; c < whole.columns.size(); ++c) {
    if (whole.columns[c] != "message" || whole.columns.size() <= 2) {
      shown.push_back(c);
      head.push_back(heading(whole.columns[c]));
    }
  }
  std::vector<std::vector<std::string>> rows;
  for (const std::vector<Scalar>& row : whole.rows) {
    if (rows.size() == most_rows) {
      break;
    }
    std::vector<std::string>& cells = rows.emplace_back();
    for (const std::size_t c : shown) {
      cells.push_back(cell_text(whole.columns[c], row[c]));
    }
  }
  std::string text = table(head, rows);
  if (rows.size() < whole.rows.size()) {
    text += fmt::format("and {} more\n", whole.rows.size() - rows.size());
  }
  return text + (whole.columns.size() <= 2 ? "" : refusals(whole));
}

std::string results_csv(const ResultTable& table) {
  std::string text;
  const auto line = [&](const auto& cells, auto to_cell) {
    for (std::size_t c = 0; c < cells.size(); ++c) {
      text += c == 0 ? "" : ",";
      text += to_cell(cells[c]);
    }
    text += '\n';
  };
  line(table.columns, [](const std::string& name) { return csv_cell(Scalar(name)); });
  for (const std::vector<Scalar>& row : table.rows) {
    line(row, csv_cell);
  }
  return text;
}

std::string results_json(const std::string& study, const ResultTable& table) {
  Json points = Json::array();
  for (const std::vector<Scalar>& row : table.rows) {
    Json& point = points.emplace_back(Json::object());
    for (std::size_t c = 0; c < row.size(); ++c) {
      point[table.columns[c]] = to_json(row[c]);
    }
  }
  const Json json = {{"format", "moesim-results"},
                     {"format_version", 1},
                     {"moesim_version", MOESIM_VERSION},
                     {"study", study},
                     {"columns", table.columns},
                     {"points", points}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

void write_result_table(const std::filesystem::path& folder,
                        const std::string& study,
                        const ResultTable& table) {
  const std::string json = results_json(study, table);
  write_file_atomically(folder / "results.csv", results_csv(table));
  write_file_atomically(folder / "results.json", json);
  if (has_page()) {
    write_file_atomically(folder / "report.html", results_page_html(json));
  }
}

}  // namespace moesim::cli
