// SPDX-License-Identifier: Apache-2.0
#include "sim/report/compare_report.hpp"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>
#include <optional>

#include "sim/core/check.hpp"
#include "sim/report/json_report.hpp"
#include "sim/step/verdict.hpp"

namespace moesim {
namespace {

using Json = nlohmann::ordered_json;
using Values = std::vector<double>;
using Measure = std::function<double(const RunSummary&)>;

double mean(const Values& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

Difference difference(std::string name, const Values& a, const Values& b) {
  return {.name = std::move(name),
          .a = mean(a),
          .b = mean(b),
          .half_width = judge_change(a, b, Seconds{0.0}, 1.0).half_width_s};
}

/// The summaries of all seeds of one side.
struct Side {
  std::vector<RunSummary> runs;

  explicit Side(std::span<const RunReport> reports) {
    for (const RunReport& report : reports) {
      runs.push_back(summarise(report));
    }
  }
  [[nodiscard]] Values of(const Measure& quantity) const {
    Values values;
    std::transform(runs.begin(), runs.end(), std::back_inserter(values), quantity);
    return values;
  }
};

/// Bytes of a step, mean over steps.
Values step_bytes(std::span<const RunReport> reports, std::int64_t LayerResult::*bytes) {
  Values values;
  for (const RunReport& report : reports) {
    double sum = 0.0;
    for (const StepResult& step : report.steps) {
      for (const LayerResult& layer : step.layers) {
        sum += static_cast<double>(layer.*bytes);
      }
    }
    values.push_back(sum / static_cast<double>(report.steps.size()));
  }
  return values;
}

/// "table.key" and value of each line, in order.
std::vector<std::pair<std::string, std::string>> keys_of(std::string_view toml) {
  std::vector<std::pair<std::string, std::string>> keys;
  std::string table;
  for (std::size_t at = 0; at < toml.size();) {
    const std::size_t end = std::min(toml.find('\n', at), toml.size());
    const std::string_view line = toml.substr(at, end - at);
    at = end + 1;
    const std::size_t equals = line.find(" = ");
    if (line.starts_with('[')) {
      table = std::string(line.substr(1, line.find(']') - 1)) + ".";
    } else if (equals != std::string_view::npos) {
      keys.emplace_back(table + std::string(line.substr(0, equals)), line.substr(equals + 3));
    }
  }
  return keys;
}

void add_bytes(Comparison& result, std::span<const RunReport> a, std::span<const RunReport> b) {
  const auto add = [&](const char* name, std::int64_t LayerResult::*bytes) {
    result.bytes.push_back(difference(name, step_bytes(a, bytes), step_bytes(b, bytes)));
  };
  add("dispatch", &LayerResult::dispatch_bytes);
  add("combine", &LayerResult::combine_bytes);
  add("over NICs", &LayerResult::scale_out_bytes);
}

ComparedSide compared_side(const RunReport& report) {
  Json head = head_json("moesim-report", report);
  head["resolved_scenario"] = report.resolved;
  return {.scenario = report.scenario,
          .resolved = report.resolved,
          .grade = std::string(to_text(report.evidence.grade)),
          .head = head.dump(-1, ' ', false, Json::error_handler_t::replace)};
}

ComparedSide compared_side(Json report) {
  for (const char* results : {"summary", "steps", "step_times", "money"}) {
    report.erase(results);
  }
  return {.scenario = report.at("scenario").get<std::string>(),
          .resolved = report.at("resolved_scenario").get<std::string>(),
          .grade = report.at("evidence").at("grade").get<std::string>(),
          .head = report.dump(-1, ' ', false, Json::error_handler_t::replace)};
}

/// Paths of the numbers in a summary, "ttft_s.p99".
void add_numbers(const Json& of, const std::string& prefix, std::vector<std::string>& paths) {
  for (const auto& [key, value] : of.items()) {
    if (value.is_object()) {
      add_numbers(value, prefix + key + ".", paths);
    } else if (value.is_number()) {
      paths.push_back(prefix + key);
    }
  }
}

/// The number at a path in the summary of every report; nullopt unless all have it.
std::optional<Values> values_at(std::span<const Json> reports, const std::string& path) {
  Values values;
  for (const Json& report : reports) {
    const Json* at = &report.at("summary");
    for (std::size_t from = 0; at != nullptr && from <= path.size();) {
      const std::size_t to = std::min(path.find('.', from), path.size());
      const auto found = at->find(path.substr(from, to - from));
      at = found == at->end() ? nullptr : &*found;
      from = to + 1;
    }
    if (at == nullptr || !at->is_number()) {
      return std::nullopt;
    }
    values.push_back(at->get<double>());
  }
  return values;
}

/// Where a quantity goes by its path, and what it is called there.
std::vector<Difference>& list_of(Comparison& c, std::string& name) {
  const auto take = [&](std::string_view unit) {
    const std::size_t at = name.rfind(unit);
    const bool ends = at != std::string::npos &&
                      (at + unit.size() == name.size() || name[at + unit.size()] == '.');
    if (ends) {
      name.erase(at, unit.size());
    }
    return ends;
  };
  constexpr std::string_view kPath = "critical_path.";
  if (name.find("_per_s") != std::string::npos) {
    return c.rates;
  }
  if (name.starts_with(kPath)) {
    name.erase(0, kPath.size());
    take("_s");
    return c.parts;
  }
  if (take("_ratio")) {
    return c.ratios;
  }
  if (take("_bytes")) {
    return c.bytes;
  }
  return take("_s") ? c.times : c.counts;
}

std::string with_spaces(std::string name) {
  std::replace(name.begin(), name.end(), '_', ' ');
  std::replace(name.begin(), name.end(), '.', ' ');
  return name;
}

}  // namespace

bool Difference::is_none() const {
  return change() == 0.0 || std::abs(change()) <= half_width;
}

std::vector<ChangedKey> changed_keys(std::string_view a, std::string_view b) {
  const auto of_a = keys_of(a);
  const auto of_b = keys_of(b);
  const std::map<std::string, std::string> in_a(of_a.begin(), of_a.end());
  const std::map<std::string, std::string> in_b(of_b.begin(), of_b.end());
  std::vector<ChangedKey> changed;
  for (const auto& [key, value] : of_a) {
    const auto other = in_b.find(key);
    if (other == in_b.end() || other->second != value) {
      changed.push_back({key, value, other == in_b.end() ? "" : other->second});
    }
  }
  for (const auto& [key, value] : of_b) {
    if (!in_a.contains(key)) {
      changed.push_back({key, "", value});
    }
  }
  return changed;
}

Comparison compare(std::span<const RunReport> a, std::span<const RunReport> b) {
  MOESIM_CHECK(!a.empty() && a.size() == b.size(), "as many seeds of both sides, at least one");
  const Side side_a(a);
  const Side side_b(b);
  const auto both = [&](std::string name, const Measure& quantity) {
    return difference(std::move(name), side_a.of(quantity), side_b.of(quantity));
  };
  Comparison result;
  result.version = a.front().version;
  result.a = compared_side(a.front());
  result.b = compared_side(b.front());
  result.layers_a = a.front().steps.front().layers.size();
  result.layers_b = b.front().steps.front().layers.size();
  for (const RunReport& report : a) {
    result.seeds.push_back(report.seed);
  }
  result.steps = a.front().steps.size();
  result.changed = changed_keys(a.front().resolved, b.front().resolved);
  result.step = both("step", [](const RunSummary& run) { return run.step_s.mean; });
  for (std::size_t p = 0; p < kNumParts; ++p) {
    result.parts.push_back(both(std::string(part_name(static_cast<Part>(p))),
                                [p](const RunSummary& run) { return run.parts_s[p]; }));
  }
  for (std::size_t layer = 0; layer < std::min(result.layers_a, result.layers_b); ++layer) {
    result.layers.push_back(both(fmt::format("layer {}", layer), [layer](const RunSummary& run) {
      return run.layers[layer].makespan_s;
    }));
  }
  result.ratios.push_back(
      both("dropped", [](const RunSummary& run) { return run.dropped_share(); }));
  result.ratios.push_back(
      both("rank imbalance", [](const RunSummary& run) { return run.rank_imbalance; }));
  add_bytes(result, a, b);
  return result;
}

Comparison compare_reports(std::span<const Json> a, std::span<const Json> b) {
  MOESIM_CHECK(!a.empty() && a.size() == b.size(), "as many seeds of both sides, at least one");
  Comparison result;
  result.version = a.front().at("moesim_version").get<std::string>();
  result.kind = a.front().at("step_kind").get<std::string>();
  result.a = compared_side(a.front());
  result.b = compared_side(b.front());
  for (const Json& report : a) {
    result.seeds.push_back(report.at("seed").get<std::uint64_t>());
  }
  const bool serves = result.kind == "serving";
  const Json& summary = a.front().at("summary");
  result.steps = summary.at(serves ? "requests" : "steps").get<std::size_t>();
  result.changed = changed_keys(result.a.resolved, result.b.resolved);
  const std::string main = serves ? "latency_s.mean" : "step_s.mean";
  std::vector<std::string> paths;
  add_numbers(summary, "", paths);
  for (const std::string& path : paths) {
    const std::optional<Values> of_a = values_at(a, path);
    const std::optional<Values> of_b = values_at(b, path);
    if (!of_a || !of_b) {
      continue;
    }
    if (path == main) {
      result.step = difference(serves ? "latency" : "step", *of_a, *of_b);
      continue;
    }
    std::string name = path;
    std::vector<Difference>& list = list_of(result, name);
    list.push_back(difference(with_spaces(std::move(name)), *of_a, *of_b));
  }
  return result;
}

}  // namespace moesim
