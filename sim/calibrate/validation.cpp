// SPDX-License-Identifier: Apache-2.0
#include "sim/calibrate/validation.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>

#include "sim/calibrate/calibration.hpp"
#include "sim/calibrate/report_path.hpp"
#include "sim/core/text.hpp"
#include "sim/core/unit_text.hpp"
#include "sim/moe/traces/refuse.hpp"

namespace moesim::calibrate {
namespace {

using Json = nlohmann::ordered_json;

/// Units that fit the last key of a quantity.
struct UnitFamily {
  std::optional<double> size;  ///< of the unit given, in SI units; none if it does not fit
  std::string_view forms;
};

template <typename Q>
std::optional<double> value_of(const std::optional<Q>& quantity) {
  return quantity ? std::optional(quantity->value) : std::nullopt;
}

UnitFamily unit_family(std::string_view quantity, const std::string& unit) {
  const std::string one = "1 " + unit;
  if (quantity.ends_with("_bytes_per_s")) {
    return {value_of(parse_bytes_per_second(one)), bytes_per_second_forms()};
  }
  const std::string_view last = quantity.substr(quantity.rfind('.') + 1);
  if (last.find("_per_s") != std::string_view::npos) {  // tokens_per_s_per_node
    return {unit == "1/s" ? std::optional(1.0) : std::nullopt, "1/s"};
  }
  if (quantity.ends_with("_bytes")) {
    return {value_of(parse_bytes(one)), bytes_forms()};
  }
  // Distributions are objects with a unit: "summary.step_s.mean".
  const std::vector<std::string> keys = split_path(quantity);
  const bool is_time = std::any_of(
      keys.begin(), keys.end(), [](const std::string& key) { return key.ends_with("_s"); });
  if (is_time) {
    return {value_of(parse_seconds(one)), seconds_forms()};
  }
  const std::optional<double> plain =
      unit == "1" ? std::optional(1.0) : (unit == "%" ? std::optional(0.01) : std::nullopt);
  return {plain, "1 or %"};
}

/// The cells of a row by column name.
class CaseRow {
 public:
  CaseRow(const traces::CsvTable& table, std::size_t row) : table_(table), row_(row) {}

  [[nodiscard]] const std::string& cell(std::string_view column) const {
    return table_.rows[row_][table_.column(column)];
  }
  [[nodiscard]] std::string text(std::string_view column) const {
    std::string value(trimmed(cell(column)));
    if (value.empty()) {
      refuse(fmt::format("{} is empty", column));
    }
    return value;
  }
  [[nodiscard]] double measured() const {
    const std::string text(trimmed(cell("measured")));
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value) ||
        value <= 0) {
      refuse(fmt::format("measured: \"{}\" is not a number above 0", text));
    }
    return value;
  }
  [[noreturn]] void refuse(std::string message) const {
    table_.refuse_row(row_, std::move(message));
  }
  [[nodiscard]] int line() const { return table_.line_of_row[row_]; }

 private:
  const traces::CsvTable& table_;
  std::size_t row_;
};

ValidationCase read_case(const CaseRow& row, const std::filesystem::path& file) {
  ValidationCase one;
  one.file = file;
  one.line = row.line();
  one.name = row.text("case");
  one.tier = row.text("tier");
  one.scenario = file.parent_path() / row.text("scenario");
  for (const std::string& item : split_path(row.cell("set"), ';')) {
    const std::string_view override = trimmed(item);
    if (!override.empty()) {
      one.overrides.emplace_back(override);
    }
  }
  one.quantity = row.text("quantity");
  one.measured = row.measured();
  one.unit = row.text("unit");
  const UnitFamily family = unit_family(one.quantity, one.unit);
  if (!family.size) {
    row.refuse(fmt::format(
        "unit: \"{}\" does not fit {}; expected {}", one.unit, one.quantity, family.forms));
  }
  one.unit_size = *family.size;
  one.source = row.text("source");
  return one;
}

/// What may follow in a path: keys, or indices.
std::string words_under(const Json& at) {
  if (at.is_array()) {
    return at.empty() ? "an empty list" : fmt::format("indices 0 to {}", at.size() - 1);
  }
  std::vector<std::string> keys;
  for (const auto& [key, value] : at.items()) {
    keys.push_back(key);
  }
  return fmt::format("{}", fmt::join(keys, ", "));
}

}  // namespace

void ValidationCase::refuse(std::string message) const {
  traces::refuse_line(file, line, std::move(message));
}

std::vector<ValidationCase> read_cases(const traces::CsvTable& table) {
  std::vector<ValidationCase> cases;
  std::set<std::string> names;
  for (std::size_t r = 0; r < table.rows.size(); ++r) {
    const CaseRow row(table, r);
    cases.push_back(read_case(row, table.path));
    if (!names.insert(cases.back().name).second) {
      row.refuse(fmt::format("case \"{}\" is there twice", cases.back().name));
    }
  }
  if (cases.empty()) {
    traces::refuse(table.path, "no cases");
  }
  return cases;
}

double quantity_of(const Json& report, const ValidationCase& of) {
  const Json* at = &report;
  std::string walked;
  for (const std::string& key : split_path(of.quantity)) {
    const Json* next = child(*at, key);
    if (next == nullptr) {
      of.refuse(
          fmt::format("quantity: no \"{}\" in the report{}; there are: {}",
                      key,
                      walked.empty() ? "" : fmt::format(" at \"{}\"", walked),
                      at->is_structured() ? words_under(*at) : "no keys, it is a single value"));
    }
    walked += (walked.empty() ? "" : ".") + key;
    at = next;
  }
  if (!at->is_number()) {
    of.refuse(fmt::format("quantity: \"{}\" is not a number{}",
                          of.quantity,
                          at->is_structured() ? "; it holds: " + words_under(*at) : ""));
  }
  return at->get<double>();
}

std::vector<TierErrors> errors_by_tier(std::span<const ValidationResult> results) {
  std::vector<std::pair<std::string, std::vector<double>>> ratios;
  for (const ValidationResult& result : results) {
    const auto known = std::find_if(ratios.begin(), ratios.end(), [&](const auto& tier) {
      return tier.first == result.of.tier;
    });
    std::vector<double>& of_tier =
        known != ratios.end() ? known->second : ratios.emplace_back(result.of.tier, 0).second;
    of_tier.push_back(result.predicted / result.of.measured);
  }
  std::vector<TierErrors> tiers;
  tiers.reserve(ratios.size());
  for (auto& [tier, of_tier] : ratios) {
    tiers.push_back({tier, errors_of(std::move(of_tier))});
  }
  return tiers;
}

}  // namespace moesim::calibrate
