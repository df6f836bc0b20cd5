// SPDX-License-Identifier: Apache-2.0
// A comparison as text, JSON and CSV.
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

#include "sim/report/compare_report.hpp"
#include "sim/report/table.hpp"

namespace moesim {
namespace {

using Json = nlohmann::ordered_json;
using Text = std::string (*)(double);

std::string_view verdict_of(const Difference& d) {
  return d.is_none() ? "none" : d.change() < 0.0 ? "less" : "more";
}

std::string signed_text(double value, Text text) {
  return fmt::format("{}{}", value < 0.0 ? "-" : "+", text(std::abs(value)));
}

std::string noise_text(double half_width, Text text) {
  return std::isfinite(half_width) ? text(half_width) : "unknown";
}

std::vector<std::string> row_of(const Difference& d, Text text) {
  const std::string relative =
      d.a == 0.0 ? "" : fmt::format("{:+.1f} %", (d.b / d.a - 1.0) * 100.0);
  return {d.name,
          text(d.a),
          text(d.b),
          signed_text(d.change(), text),
          noise_text(d.half_width, text),
          d.is_none()        ? "none"
          : relative.empty() ? std::string(verdict_of(d))
                             : relative};
}

void add_rows(std::vector<std::vector<std::string>>& rows,
              const std::vector<Difference>& differences,
              Text text) {
  for (const Difference& d : differences) {
    if (d.a != 0.0 || d.b != 0.0) {
      rows.push_back(row_of(d, text));
    }
  }
}

std::string readable_number(double value) {
  constexpr double kLarge = 1e6;
  return std::abs(value) >= kLarge ? fmt::format("{:.3g}", value) : three_digits(value);
}

std::string changed_text(const Comparison& c) {
  if (c.changed.empty()) {
    return "the scenarios are the same\n";
  }
  std::string text = "changed\n";
  for (const ChangedKey& key : c.changed) {
    text += wrapped(fmt::format("  {}: {} -> {}",
                                key.key,
                                key.a.empty() ? "(not set)" : key.a,
                                key.b.empty() ? "(not set)" : key.b));
  }
  return text;
}

Json difference_json(const Difference& d, std::string_view unit) {
  Json json = {{"name", d.name}};
  json[fmt::format("a{}", unit)] = d.a;
  json[fmt::format("b{}", unit)] = d.b;
  json[fmt::format("change{}", unit)] = d.change();
  json[fmt::format("half_width{}", unit)] =
      std::isfinite(d.half_width) ? Json(d.half_width) : Json(nullptr);
  json["verdict"] = verdict_of(d);
  return json;
}

Json differences_json(const std::vector<Difference>& differences, std::string_view unit) {
  Json list = Json::array();
  for (const Difference& d : differences) {
    list.push_back(difference_json(d, unit));
  }
  return list;
}

std::string csv_rows(const std::vector<Difference>& differences, std::string_view unit) {
  std::string csv;
  for (const Difference& d : differences) {
    csv += fmt::format("{},{},{},{},{},{},{}\n",
                       d.name,
                       unit,
                       d.a,
                       d.b,
                       d.change(),
                       std::isfinite(d.half_width) ? fmt::format("{}", d.half_width) : "",
                       verdict_of(d));
  }
  return csv;
}

}  // namespace

std::string compare_text(const Comparison& c) {
  const bool serves = c.kind == "serving";
  std::string text = wrapped(fmt::format("A: {}", c.a.scenario)) +
                     wrapped(fmt::format("B: {}", c.b.scenario)) +
                     wrapped(fmt::format("{} seed(s) from {}, {} {} each; evidence: A {}, B {}",
                                         c.seeds.size(),
                                         c.seeds.front(),
                                         c.steps,
                                         serves ? "request(s)" : "step(s)",
                                         c.a.grade,
                                         c.b.grade)) +
                     "\n" + changed_text(c) + "\n";
  const std::vector<std::string> header = {"", "A", "B", "B - A", "noise", "difference"};
  std::vector<std::vector<std::string>> rows = {row_of(c.step, readable_time)};
  rows.front().front() += ", mean";
  add_rows(rows, c.parts, readable_time);
  add_rows(rows, c.times, readable_time);
  add_rows(rows, c.rates, readable_number);
  add_rows(rows, c.bytes, readable_bytes);
  add_rows(rows, c.ratios, [](double value) { return fmt::format("{:.4f}", value); });
  add_rows(rows, c.counts, readable_number);
  text += table(header, rows) + "\n";
  rows.clear();
  add_rows(rows, c.layers, readable_time);
  text += rows.empty() ? "" : table(header, rows) + "\n";
  if (c.layers_a != c.layers_b) {
    text += wrapped(fmt::format("note: A has {} MoE layers and B has {}; the first {} are aligned",
                                c.layers_a,
                                c.layers_b,
                                c.layers.size()));
  }
  return text +
         wrapped(c.seeds.size() == 1
                     ? "noise: unknown with one seed, so every difference is called none"
                     : "noise: half of the 95 % interval of B - A over seeds; a difference within "
                       "it is none. A noise of 0 means that the seed draws nothing here.");
}

std::string compare_json(const Comparison& c) {
  Json changed = Json::array();
  for (const ChangedKey& key : c.changed) {
    changed.push_back({{"key", key.key}, {"a", key.a}, {"b", key.b}});
  }
  const Json json = {{"format", "moesim-compare"},
                     {"format_version", 1},
                     {"moesim_version", c.version},
                     {"step_kind", c.kind},
                     {"seeds", c.seeds},
                     {"steps", c.steps},
                     {"layers_a", c.layers_a},
                     {"layers_b", c.layers_b},
                     {"changed", changed},
                     {"step", difference_json(c.step, "_s")},
                     {"critical_path", differences_json(c.parts, "_s")},
                     {"layers", differences_json(c.layers, "_s")},
                     {"times", differences_json(c.times, "_s")},
                     {"rates", differences_json(c.rates, "_per_s")},
                     {"ratios", differences_json(c.ratios, "_ratio")},
                     {"bytes", differences_json(c.bytes, "_bytes")},
                     {"counts", differences_json(c.counts, "")},
                     {"a", Json::parse(c.a.head)},
                     {"b", Json::parse(c.b.head)}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string compare_csv(const Comparison& c) {
  return "quantity,unit,a,b,change,half_width,verdict\n" + csv_rows({c.step}, "s") +
         csv_rows(c.parts, "s") + csv_rows(c.layers, "s") + csv_rows(c.times, "s") +
         csv_rows(c.rates, "per_s") + csv_rows(c.ratios, "ratio") + csv_rows(c.bytes, "bytes") +
         csv_rows(c.counts, "");
}

}  // namespace moesim
