// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/gpu_report.hpp"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <map>
#include <string_view>

#include "sim/report/table.hpp"

namespace moesim::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<Phase, kNumPhases> kPhases = {
    Phase::kGate, Phase::kDispatch, Phase::kExperts, Phase::kCombine};

/// Fields of a simulation's report that no measurement of layers fills.
constexpr std::array<std::string_view, 8> kNotMeasured = {"step_s",
                                                          "makespan_s",
                                                          "critical_path",
                                                          "flows",
                                                          "network_events",
                                                          "dispatch_bound_s",
                                                          "combine_bound_s",
                                                          "hot.links"};

RankSpread spread_of(const std::vector<double>& by_rank) {
  RankSpread spread;
  for (const double time : by_rank) {
    spread.mean += seconds(time / static_cast<double>(by_rank.size()));
    spread.max = std::max(spread.max, seconds(time));
  }
  return spread;
}

Json spread_json(const RankSpread& spread) {
  return {{"mean_s", spread.mean.value}, {"max_s", spread.max.value}};
}

Json phases_json(const GpuReport& report, const GpuLayer& layer) {
  Json json;
  for (const Phase phase : kPhases) {
    Json spread = spread_json(layer.phases[static_cast<std::size_t>(phase)]);
    spread["whole"] = report.is_whole(phase);
    json[phase_name(phase)] = spread;
  }
  return json;
}

Json layer_json(const GpuReport& report, const GpuLayer& layer) {
  Json stages;
  for (const auto& [name, spread] : layer.stages) {
    stages[name] = spread_json(spread);
  }
  const std::optional<double>& weight = layer.load.dropped_weight;
  return {{"layer", layer.layer},
          {"phases", phases_json(report, layer)},
          {"stages", stages},
          {"assignments", layer.load.assignments},
          {"dropped_assignments", layer.load.dropped},
          {"gate_weight", layer.load.gate_weight},
          {"dropped_gate_weight", weight ? Json(*weight) : Json(nullptr)},
          {"rank_imbalance_ratio", layer.load.rank_imbalance},
          {"expert_imbalance_ratio", layer.load.expert_imbalance}};
}

Json summary_json(const GpuReport& report) {
  std::int64_t assignments = 0;
  std::int64_t dropped = 0;
  for (const auto& step : report.steps) {
    for (const GpuLayer& layer : step) {
      assignments += layer.load.assignments;
      dropped += layer.load.dropped;
    }
  }
  Json phases;
  for (const Phase phase : kPhases) {
    Json spread = spread_json(phase_total(report, phase));
    spread["whole"] = report.is_whole(phase);
    phases[phase_name(phase)] = spread;
  }
  return {{"steps", report.steps.size()},
          {"phases", phases},
          {"assignments", assignments},
          {"dropped_assignments", dropped}};
}

std::string head_text(const GpuReport& report) {
  return wrapped(fmt::format("{}: {} step(s) of {} MoE layers, measured on {} x {}, seed {}",
                             report.head.scenario,
                             report.steps.size(),
                             report.steps.front().size(),
                             report.network ? report.ranks : 1,
                             report.device,
                             report.head.seed));
}

}  // namespace

const char* phase_name(Phase phase) {
  switch (phase) {
    case Phase::kGate:
      return "gate";
    case Phase::kDispatch:
      return "dispatch";
    case Phase::kExperts:
      return "experts";
    case Phase::kCombine:
      break;
  }
  return "combine";
}

std::optional<Phase> phase_of_stage(const std::string& stage) {
  static const std::map<std::string, Phase> kPhaseOf = {{"gate", Phase::kGate},
                                                        {"place", Phase::kDispatch},
                                                        {"spread", Phase::kDispatch},
                                                        {"dispatch", Phase::kDispatch},
                                                        {"regroup", Phase::kExperts},
                                                        {"gate_up", Phase::kExperts},
                                                        {"activation", Phase::kExperts},
                                                        {"down", Phase::kExperts},
                                                        {"shared", Phase::kExperts},
                                                        {"ungroup", Phase::kCombine},
                                                        {"return", Phase::kCombine},
                                                        {"combine", Phase::kCombine}};
  const auto found = kPhaseOf.find(stage);
  return found == kPhaseOf.end() ? std::nullopt : std::optional(found->second);
}

GpuLayer summarise_ranks(int layer, const std::vector<measure::MeasuredRank>& ranks) {
  GpuLayer summary;
  summary.layer = layer;
  std::map<std::string, std::vector<double>> by_stage;
  std::array<std::vector<double>, kNumPhases> by_phase;
  by_phase.fill(std::vector<double>(ranks.size()));
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    for (const auto& [stage, time] : ranks[r].stage_s) {
      by_stage[stage].resize(ranks.size());
      by_stage[stage][r] += time;
      if (const std::optional<Phase> phase = phase_of_stage(stage)) {
        by_phase[static_cast<std::size_t>(*phase)][r] += time;
      }
    }
  }
  for (const auto& [stage, time] : ranks.front().stage_s) {
    summary.stages.emplace_back(stage, spread_of(by_stage[stage]));
  }
  for (std::size_t p = 0; p < kNumPhases; ++p) {
    summary.phases[p] = spread_of(by_phase[p]);
  }
  return summary;
}

RankSpread phase_total(const GpuReport& report, Phase phase) {
  RankSpread sum;
  const double weight = 1.0 / static_cast<double>(report.steps.size());
  for (const auto& step : report.steps) {
    for (const GpuLayer& layer : step) {
      const RankSpread& spread = layer.phases[static_cast<std::size_t>(phase)];
      sum.mean += spread.mean * weight;
      sum.max += spread.max * weight;
    }
  }
  return sum;
}

std::vector<std::string> gpu_notes(const GpuReport& report) {
  std::vector<std::string> notes = report.head.joins;
  notes.insert(notes.end(), report.head.notes.begin(), report.head.notes.end());
  if (report.network) {
    notes.push_back(fmt::format(
        "{} ranks ran side by side, one a GPU; dispatch and combine hold NCCL all-to-alls",
        report.ranks));
  } else {
    notes.push_back(fmt::format(
        "{} rank(s) ran in turn on one GPU with their true token counts ({} attached); transfers "
        "between ranks were not measured: dispatch and combine hold their local part alone",
        report.ranks,
        report.gpus));
  }
  notes.emplace_back(
      "each stage is the median of 7 passes with a cold L2; the gate runs, its choice is replaced "
      "by the scenario's routing; weights and activations are random");
  notes.emplace_back(
      "not measured: step time, makespan, critical path, straggler wait, flows and link loads; "
      "layers are measured one by one");
  return notes;
}

std::string gpu_text(const GpuReport& report) {
  std::vector<std::vector<std::string>> rows;
  for (const Phase phase : kPhases) {
    const RankSpread total = phase_total(report, phase);
    rows.push_back({std::string(phase_name(phase)) + (report.is_whole(phase) ? "" : " (local)"),
                    readable_time(total.mean.value),
                    readable_time(total.max.value)});
  }
  std::string text =
      head_text(report) + "\n" + table({"phase (all layers)", "mean rank", "slowest rank"}, rows);
  const Json summary = summary_json(report);
  text += fmt::format("\ndropped: {} of {} assignments\n",
                      summary["dropped_assignments"].get<std::int64_t>(),
                      summary["assignments"].get<std::int64_t>());
  for (const std::string& note : gpu_notes(report)) {
    text += wrapped("note: " + note);
  }
  return text;
}

std::string gpu_json(const GpuReport& report) {
  Json inputs = Json::array();
  for (const InputDigest& input : report.head.inputs) {
    inputs.push_back({{"path", input.path}, {"sha256", input.sha256}});
  }
  Json steps = Json::array();
  for (std::size_t step = 0; step < report.steps.size(); ++step) {
    Json layers = Json::array();
    for (const GpuLayer& layer : report.steps[step]) {
      layers.push_back(layer_json(report, layer));
    }
    steps.push_back({{"step", step}, {"layers", layers}});
  }
  const Json json = {{"format", "moesim-gpu-report"},
                     {"format_version", 1},
                     {"moesim_version", report.head.version},
                     {"scenario", report.head.scenario},
                     {"seed", report.head.seed},
                     {"inputs", inputs},
                     {"device", report.device},
                     {"gpus_attached", report.gpus},
                     {"ranks", report.ranks},
                     {"network_measured", report.network},
                     {"not_measured", kNotMeasured},
                     {"notes", gpu_notes(report)},
                     {"summary", summary_json(report)},
                     {"steps", steps},
                     {"resolved_scenario", report.head.resolved}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace moesim::cli
