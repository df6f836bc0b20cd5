// SPDX-License-Identifier: Apache-2.0
// The forms in which arrival traces are published.
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/core/text.hpp"
#include "sim/moe/traces/csv.hpp"
#include "sim/moe/traces/refuse.hpp"
#include "sim/step/serving/arrivals.hpp"

namespace moesim {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using traces::CsvTable;
using traces::refuse;
using traces::refuse_line;

constexpr double kMostSeconds = 1e7;  // 115 days; the clock has 106 from the first arrival

/// Columns or keys of one form.
struct Names {
  std::string_view time;
  std::string_view prompt;
  std::string_view output;
};

std::int64_t checked_tokens(const fs::path& path, int line, std::string_view name, double value) {
  if (!(value >= 0) || value > static_cast<double>(kMostTokens) || value != std::floor(value)) {
    refuse_line(
        path,
        line,
        fmt::format("{}: {:g} is not a whole number from 0 to {}", name, value, kMostTokens));
  }
  return static_cast<std::int64_t>(value);
}

double checked_time(const fs::path& path, int line, std::string_view name, double value) {
  if (!std::isfinite(value) || value < 0) {
    refuse_line(path, line, fmt::format("{}: {:g} is not a time of 0 s or more", name, value));
  }
  return value;
}

double number_in(const CsvTable& table, std::size_t row, std::size_t column) {
  const std::string& cell = table.rows[row][column];
  double value = 0;
  const char* const end = cell.data() + cell.size();
  const auto [stop, error] = std::from_chars(cell.data(), end, value);
  if (error != std::errc{} || stop != end) {
    table.refuse_row(
        row, fmt::format("{}: {} is not a number", table.columns[column], quoted_text(cell)));
  }
  return value;
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
/// Source: Hinnant, "chrono-compatible low-level date algorithms", days_from_civil.
std::int64_t days_from_civil(std::int64_t year, std::int64_t month, std::int64_t day) {
  year -= month <= 2 ? 1 : 0;
  const std::int64_t era = year / 400;
  const std::int64_t of_era = year - era * 400;
  const std::int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146'097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719'468;
}

/// Digits text[at, at + count) as a number; nullopt if one is no digit.
std::optional<std::int64_t> digits(std::string_view text, std::size_t at, std::size_t count) {
  if (text.size() < at + count) {
    return std::nullopt;
  }
  std::int64_t value = 0;
  for (const char c : text.substr(at, count)) {
    if (c < '0' || c > '9') {
      return std::nullopt;
    }
    value = value * 10 + (c - '0');
  }
  return value;
}

/// "2023-11-16 18:15:46.6805900", with T for the blank and without a fraction too; what follows
/// the fraction ("+00:00", "Z") is a zone, the same on every row, and is not looked at.
std::optional<double> seconds_of_stamp(std::string_view text) {
  const auto year = digits(text, 0, 4);
  const auto month = digits(text, 5, 2);
  const auto day = digits(text, 8, 2);
  const auto hour = digits(text, 11, 2);
  const auto minute = digits(text, 14, 2);
  const auto second = digits(text, 17, 2);
  if (!year || !month || !day || !hour || !minute || !second || *month < 1 || *month > 12 ||
      *day < 1 || *day > 31 || *hour > 23 || *minute > 59 || *second > 60) {
    return std::nullopt;
  }
  double fraction = 0;
  double place = 0.1;
  for (std::size_t i = 20; text.size() > 19 && text[19] == '.' && digits(text, i, 1); ++i) {
    fraction += place * static_cast<double>(*digits(text, i, 1));
    place /= 10;
  }
  const std::int64_t whole =
      days_from_civil(*year, *month, *day) * 86'400 + *hour * 3'600 + *minute * 60 + *second;
  return static_cast<double>(whole) + fraction;
}

std::vector<ArrivalRow> rows_of_csv(const CsvTable& table, const Names& names, bool stamps) {
  const std::size_t time = table.column(names.time);
  const std::size_t prompt = table.column(names.prompt);
  const std::size_t output = table.column(names.output);
  std::vector<ArrivalRow> rows;
  rows.reserve(table.rows.size());
  for (std::size_t r = 0; r < table.rows.size(); ++r) {
    const int line = table.line_of_row[r];
    double at = 0;
    if (stamps) {
      const std::optional<double> stamp = seconds_of_stamp(table.rows[r][time]);
      if (!stamp) {
        table.refuse_row(r,
                         fmt::format("{}: {} is not a time such as 2023-11-16 18:15:46.68",
                                     names.time,
                                     quoted_text(table.rows[r][time])));
      }
      at = *stamp;
    } else {
      at = checked_time(table.path, line, names.time, number_in(table, r, time));
    }
    rows.push_back({at,
                    checked_tokens(table.path, line, names.prompt, number_in(table, r, prompt)),
                    checked_tokens(table.path, line, names.output, number_in(table, r, output)),
                    line});
  }
  return rows;
}

double json_number(const Json& row, std::string_view name, const fs::path& path, int line) {
  const auto found = row.find(std::string(name));
  if (found == row.end()) {
    refuse_line(path, line, fmt::format("no key \"{}\"", name));
  }
  if (!found->is_number()) {
    refuse_line(path, line, fmt::format("{}: not a number", name));
  }
  return found->get<double>();
}

/// hash_ids of a row; none if it has no such key.
std::vector<std::int64_t> blocks_of(const Json& row, const fs::path& path, int line) {
  const auto found = row.find("hash_ids");
  std::vector<std::int64_t> blocks;
  if (found == row.end()) {
    return blocks;
  }
  if (!found->is_array()) {
    refuse_line(path, line, "hash_ids: not a list");
  }
  blocks.reserve(found->size());
  for (const Json& id : *found) {
    if (!id.is_number_integer()) {
      refuse_line(path, line, "hash_ids: not a list of whole numbers");
    }
    blocks.push_back(id.get<std::int64_t>());
  }
  return blocks;
}

/// @param unit  seconds of one unit of time
std::vector<ArrivalRow> rows_of_json_lines(const fs::path& path,
                                           std::string_view text,
                                           const Names& names,
                                           double unit) {
  std::vector<ArrivalRow> rows;
  int line = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view one = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    ++line;
    if (one.empty()) {
      continue;
    }
    const Json row = Json::parse(one, nullptr, false);
    if (!row.is_object()) {
      refuse_line(path, line, "not a JSON object");
    }
    rows.push_back(
        {checked_time(path, line, names.time, json_number(row, names.time, path, line)) * unit,
         checked_tokens(path, line, names.prompt, json_number(row, names.prompt, path, line)),
         checked_tokens(path, line, names.output, json_number(row, names.output, path, line)),
         line,
         blocks_of(row, path, line)});
  }
  if (rows.empty()) {
    refuse(path, "no rows");
  }
  return rows;
}

std::vector<ArrivalRow> rows_of_table(const fs::path& path, std::string_view text) {
  const Names names{"arrival_s", "prompt_tokens", "output_tokens"};
  if (trimmed(text.substr(0, 4096)).starts_with('{')) {
    return rows_of_json_lines(path, text, names, 1);
  }
  return rows_of_csv(traces::parse_csv(path, text), names, false);
}

std::vector<ArrivalRow> rows_of(ArrivalSource source, const fs::path& path, std::string_view text) {
  switch (source) {
    case ArrivalSource::kAzure:
      return rows_of_csv(
          traces::parse_csv(path, text), {"TIMESTAMP", "ContextTokens", "GeneratedTokens"}, true);
    case ArrivalSource::kMooncake:
      return rows_of_json_lines(path, text, {"timestamp", "input_length", "output_length"}, 1e-3);
    case ArrivalSource::kBurstGpt:
      return rows_of_csv(
          traces::parse_csv(path, text), {"Timestamp", "Request tokens", "Response tokens"}, false);
    case ArrivalSource::kTable:
      return rows_of_table(path, text);
    case ArrivalSource::kPoisson:
      break;
  }
  MOESIM_CHECK(false, "Poisson arrivals have no file");
}

}  // namespace

std::vector<ArrivalRow> parse_arrivals(ArrivalSource source,
                                       const fs::path& path,
                                       std::string_view text) {
  std::vector<ArrivalRow> rows = rows_of(source, path, text);
  if (rows.empty()) {
    refuse(path, "no rows");
  }
  const auto [first, last] =
      std::minmax_element(rows.begin(), rows.end(), [](const ArrivalRow& a, const ArrivalRow& b) {
        return a.time_s < b.time_s;
      });
  if (last->time_s - first->time_s > kMostSeconds) {
    refuse_line(path,
                last->line,
                fmt::format("arrives {:.6g} s after line {}; at most {:g} s are served",
                            last->time_s - first->time_s,
                            first->line,
                            kMostSeconds));
  }
  return rows;
}

}  // namespace moesim
