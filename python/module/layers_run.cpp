// SPDX-License-Identifier: Apache-2.0
#include "python/module/layers_run.hpp"

#include <utility>

#include "sim/cli/run_folder.hpp"
#include "sim/core/check.hpp"
#include "sim/report/csv_report.hpp"
#include "sim/scenario/resolved_file.hpp"

namespace moesim::python {
namespace {

double seconds(SimTime time) {
  return time.to_seconds().value;
}

/// One number a step.
template <typename Number, typename Of>
Table<Number> by_step(const RunReport& report, Of of) {
  Table<Number> table{{static_cast<std::int64_t>(report.steps.size())}, {}};
  for (const StepResult& step : report.steps) {
    table.values.push_back(of(step));
  }
  return table;
}

/// A list of numbers a step, as long in all.
template <typename Number, typename Of>
Table<Number> lists_by_step(const RunReport& report, Of of) {
  Table<Number> table{{static_cast<std::int64_t>(report.steps.size()), 0}, {}};
  for (const StepResult& step : report.steps) {
    const std::vector<Number>& list = of(step);
    table.values.insert(table.values.end(), list.begin(), list.end());
    table.extents[1] = static_cast<std::int64_t>(list.size());
  }
  MOESIM_CHECK(
      static_cast<std::int64_t>(table.values.size()) == table.extents[0] * table.extents[1],
      "steps differ in the length of a list");
  return table;
}

/// A list of numbers a layer of a step, as long in all.
template <typename Number, typename Of>
Table<Number> lists_by_layer(const RunReport& report, Of of) {
  const auto steps = static_cast<std::int64_t>(report.steps.size());
  const auto layers = static_cast<std::int64_t>(report.steps.front().layers.size());
  Table<Number> table{{steps, layers, 0}, {}};
  for (const StepResult& step : report.steps) {
    for (const LayerResult& layer : step.layers) {
      const auto& list = of(layer);
      table.values.insert(table.values.end(), list.begin(), list.end());
      table.extents[2] = static_cast<std::int64_t>(list.size());
    }
  }
  MOESIM_CHECK(static_cast<std::int64_t>(table.values.size()) == steps * layers * table.extents[2],
               "layers differ in the length of a list");
  return table;
}

std::vector<double> path_of(const LayerResult& layer) {
  std::vector<double> path;
  for (const SimTime part : layer.parts) {
    path.push_back(seconds(part));
  }
  return path;
}

std::vector<double> phases_of(const LayerResult& layer, Seconds RankSpread::*which) {
  return {(layer.gate.*which).value,
          (layer.dispatch.*which).value,
          (layer.experts.*which).value,
          (layer.combine.*which).value};
}

Table<double> layer_times(const RunReport& report) {
  Table<double> table = lists_by_layer<double>(report, [](const LayerResult& layer) {
    return std::vector<double>{seconds(layer.makespan())};
  });
  table.extents.pop_back();
  return table;
}

Table<std::int64_t> traffic_of(const RunReport& report) {
  Table<std::int64_t> table = lists_by_step<std::int64_t>(
      report, [](const StepResult& step) -> const auto& { return step.pairs.bytes; });
  const std::int64_t cells = report.steps.front().pairs.cells;
  table.extents = {table.extents.front(), cells, cells};
  return table;
}

}  // namespace

LayersRun::LayersRun(Scenario simulated, RunReport made)
    : scenario(std::move(simulated)),
      report(std::move(made)),
      step_s(
          by_step<double>(report, [](const StepResult& step) { return seconds(step.makespan); })),
      layer_s(layer_times(report)),
      path_s(lists_by_layer<double>(report, path_of)),
      phase_mean_s(lists_by_layer<double>(
          report, [](const LayerResult& layer) { return phases_of(layer, &RankSpread::mean); })),
      phase_max_s(lists_by_layer<double>(
          report, [](const LayerResult& layer) { return phases_of(layer, &RankSpread::max); })),
      expert_load(lists_by_layer<std::int64_t>(
          report, [](const LayerResult& layer) -> const auto& { return layer.expert_load; })),
      rank_load(lists_by_layer<std::int64_t>(
          report, [](const LayerResult& layer) -> const auto& { return layer.rank_tokens; })),
      link_bytes(lists_by_step<std::int64_t>(
          report, [](const StepResult& step) -> const auto& { return step.link_bytes; })),
      traffic(traffic_of(report)),
      link_rate{{static_cast<std::int64_t>(report.link_rates.size())}, report.link_rates} {}

std::vector<std::string> part_names() {
  std::vector<std::string> names;
  for (std::size_t p = 0; p < kNumParts; ++p) {
    names.emplace_back(part_name(static_cast<Part>(p)));
  }
  return names;
}

void save(const LayersRun& run, const std::string& folder) {
  RunReport report = run.report;
  report.resolved = resolved_toml_in(folder, run.scenario);
  cli::write_run(folder, run.scenario, report, {});
}

std::string csv_of(const RunReport& report, const std::string& table) {
  using Writer = std::string (*)(const RunReport&);
  constexpr std::pair<const char*, Writer> kTables[] = {{"summary", summary_csv},
                                                        {"layers", layers_csv},
                                                        {"experts", experts_csv},
                                                        {"ranks", ranks_csv},
                                                        {"links", links_csv},
                                                        {"pairs", pairs_csv}};
  for (const auto& [name, write] : kTables) {
    if (table == name) {
      return write(report);
    }
  }
  return "";
}

}  // namespace moesim::python
