// SPDX-License-Identifier: Apache-2.0
#include "sim/report/compare_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>

#include "sim/core/check.hpp"
#include "sim/step/verdict.hpp"

namespace moesim {
namespace {

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
  result.a = a.front();
  result.b = b.front();
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
  const std::size_t layers =
      std::min(side_a.runs.front().layers.size(), side_b.runs.front().layers.size());
  for (std::size_t layer = 0; layer < layers; ++layer) {
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

}  // namespace moesim
