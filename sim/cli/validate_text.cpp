// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/validate_text.hpp"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "sim/report/scatter_plot.hpp"
#include "sim/report/table.hpp"

namespace moesim::cli {
namespace {

using Json = nlohmann::ordered_json;
using calibrate::TierErrors;
using calibrate::ValidationResult;

std::string percent(double ratio) {
  return fmt::format("{:.1f}", ratio * 100);
}

std::string signed_percent(double ratio) {
  return fmt::format("{:+.1f}", ratio * 100);
}

std::vector<std::vector<std::string>> rows_of_tier(const ValidationResults& results,
                                                   const std::string& tier) {
  std::vector<std::vector<std::string>> rows;
  for (const ValidationResult& result : results) {
    if (result.of.tier == tier) {
      rows.push_back({result.of.name,
                      three_digits(result.of.measured),
                      three_digits(result.predicted),
                      result.of.unit,
                      signed_percent(result.error()),
                      result.grade});
    }
  }
  return rows;
}

bool is_time(const ValidationResult& result) {
  return !result.of.quantity.ends_with("_bytes") && !result.of.quantity.ends_with("_bytes_per_s") &&
         result.of.unit != "1" && result.of.unit != "%" && result.of.unit != "1/s";
}

}  // namespace

std::string validation_text(const ValidationResults& results) {
  std::string text;
  std::vector<std::vector<std::string>> summary;
  for (const TierErrors& tier : calibrate::errors_by_tier(results)) {
    text += tier.tier + "\n" +
            table({"case", "measured", "predicted", "unit", "error %", "evidence"},
                  rows_of_tier(results, tier.tier)) +
            "\n";
    summary.push_back({tier.tier,
                       fmt::format("{}", tier.errors.points),
                       percent(tier.errors.median),
                       percent(tier.errors.p90),
                       signed_percent(tier.errors.bias)});
  }
  return text + "error by tier in %: of the size, and signed (bias: median)\n" +
         table({"tier", "cases", "median", "P90", "bias"}, summary);
}

std::string validation_json(const ValidationResults& results,
                            const std::filesystem::path& input,
                            const std::string& sha256) {
  Json cases = Json::array();
  for (const ValidationResult& result : results) {
    cases.push_back({{"case", result.of.name},
                     {"tier", result.of.tier},
                     {"scenario", result.of.scenario.string()},
                     {"set", result.of.overrides},
                     {"quantity", result.of.quantity},
                     {"unit", result.of.unit},
                     {"measured", result.of.measured},
                     {"predicted", result.predicted},
                     {"error_ratio", result.error()},
                     {"grade", result.grade},
                     {"source", result.of.source}});
  }
  Json tiers = Json::array();
  for (const TierErrors& tier : calibrate::errors_by_tier(results)) {
    tiers.push_back({{"tier", tier.tier},
                     {"cases", tier.errors.points},
                     {"median_absolute_error_ratio", tier.errors.median},
                     {"p90_absolute_error_ratio", tier.errors.p90},
                     {"bias_ratio", tier.errors.bias}});
  }
  const Json json = {{"format", "moesim-validation"},
                     {"format_version", 1},
                     {"moesim_version", MOESIM_VERSION},
                     {"input", {{"path", input.string()}, {"sha256", sha256}}},
                     {"tiers", tiers},
                     {"cases", cases}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string validation_csv(const ValidationResults& results) {
  std::string csv = "case,tier,quantity,unit,measured,predicted,error_ratio,grade,source\n";
  for (const ValidationResult& result : results) {
    csv += fmt::format("{},{},{},{},{},{},{},{},{}\n",
                       traces::csv_cell(result.of.name),
                       traces::csv_cell(result.of.tier),
                       result.of.quantity,
                       result.of.unit,
                       result.of.measured,
                       result.predicted,
                       result.error(),
                       result.grade,
                       traces::csv_cell(result.of.source));
  }
  return csv;
}

std::string validation_svg(const ValidationResults& results) {
  ScatterPlot plot{.title = "moesim: predicted and measured times",
                   .x_axis = "measured (us)",
                   .y_axis = "predicted (us)",
                   .series = {}};
  for (const TierErrors& tier : calibrate::errors_by_tier(results)) {
    ScatterSeries series{.name = fmt::format("{}: {} cases, median error {} %",
                                             tier.tier,
                                             tier.errors.points,
                                             percent(tier.errors.median)),
                         .points = {}};
    for (const ValidationResult& result : results) {
      if (result.of.tier == tier.tier && is_time(result)) {
        const double us = result.of.unit_size * 1e6;
        series.points.push_back(
            {.x = result.of.measured * us,
             .y = result.predicted * us,
             .label = fmt::format("{} ({} %)", result.of.name, signed_percent(result.error()))});
      }
    }
    if (!series.points.empty()) {
      plot.series.push_back(std::move(series));
    }
  }
  return plot.series.empty() ? "" : to_svg(plot);
}

}  // namespace moesim::cli
