// SPDX-License-Identifier: Apache-2.0
// Simulated beside measured.
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "sim/cli/gpu_report.hpp"
#include "sim/report/json_report.hpp"
#include "sim/report/table.hpp"

namespace moesim::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<Phase, kNumPhases> kPhases = {
    Phase::kGate, Phase::kDispatch, Phase::kExperts, Phase::kCombine};

const RankSpread& spread_of(const LayerSummary& layer, Phase phase) {
  switch (phase) {
    case Phase::kGate:
      return layer.gate;
    case Phase::kDispatch:
      return layer.dispatch;
    case Phase::kExperts:
      return layer.experts;
    case Phase::kCombine:
      break;
  }
  return layer.combine;
}

/// simulated / measured - 1; none where nothing or something else was measured.
std::optional<double> error_of(Seconds simulated, Seconds measured, bool whole) {
  return whole && measured.value > 0 ? std::optional(simulated / measured - 1) : std::nullopt;
}

std::string error_text(const std::optional<double>& error) {
  return error ? fmt::format("{:+.1f} %", *error * 100) : "-";
}

/// The layer's phase in all steps: means.
RankSpread measured_layer(const GpuReport& report, std::size_t layer, Phase phase) {
  RankSpread sum;
  const double weight = 1.0 / static_cast<double>(report.steps.size());
  for (const auto& step : report.steps) {
    sum.mean += step[layer].phases[static_cast<std::size_t>(phase)].mean * weight;
    sum.max += step[layer].phases[static_cast<std::size_t>(phase)].max * weight;
  }
  return sum;
}

Json row_json(const RankSpread& simulated, const RankSpread& measured, bool whole) {
  const std::optional<double> mean = error_of(simulated.mean, measured.mean, whole);
  const std::optional<double> slowest = error_of(simulated.max, measured.max, whole);
  return {{"simulated", {{"mean_s", simulated.mean.value}, {"max_s", simulated.max.value}}},
          {"measured", {{"mean_s", measured.mean.value}, {"max_s", measured.max.value}}},
          {"whole", whole},
          {"mean_error_ratio", mean ? Json(*mean) : Json(nullptr)},
          {"max_error_ratio", slowest ? Json(*slowest) : Json(nullptr)}};
}

}  // namespace

RankSpread phase_total(const RunReport& report, Phase phase) {
  RankSpread sum;
  for (const LayerSummary& layer : summarise(report).layers) {
    sum.mean += spread_of(layer, phase).mean;
    sum.max += spread_of(layer, phase).max;
  }
  return sum;
}

std::string comparison_text(const RunReport& simulated, const GpuReport& measured) {
  std::vector<std::vector<std::string>> rows;
  for (const Phase phase : kPhases) {
    const RankSpread sim = phase_total(simulated, phase);
    const RankSpread gpu = phase_total(measured, phase);
    const bool whole = measured.is_whole(phase);
    rows.push_back({std::string(phase_name(phase)) + (whole ? "" : " (local)"),
                    readable_time(sim.mean.value),
                    readable_time(gpu.mean.value),
                    error_text(error_of(sim.mean, gpu.mean, whole)),
                    readable_time(sim.max.value),
                    readable_time(gpu.max.value),
                    error_text(error_of(sim.max, gpu.max, whole))});
  }
  std::string text =
      wrapped(fmt::format("{}: simulated (evidence: {}) beside measured on {}",
                          simulated.scenario,
                          to_text(simulated.evidence.grade),
                          measured.device)) +
      "\n" +
      table({"phase (all layers)", "mean sim", "gpu", "error", "slowest sim", "gpu", "error"},
            rows) +
      "error: simulated / measured - 1; local: the measured part holds no transfer\n";
  for (const std::string& note : gpu_notes(measured)) {
    text += wrapped("note: " + note);
  }
  return text;
}

std::string comparison_json(const RunReport& simulated, const GpuReport& measured) {
  const RunSummary run = summarise(simulated);
  Json layers = Json::array();
  for (std::size_t i = 0; i < run.layers.size(); ++i) {
    Json phases;
    for (const Phase phase : kPhases) {
      phases[phase_name(phase)] = row_json(spread_of(run.layers[i], phase),
                                           measured_layer(measured, i, phase),
                                           measured.is_whole(phase));
    }
    layers.push_back({{"layer", run.layers[i].layer}, {"phases", phases}});
  }
  Json total;
  for (const Phase phase : kPhases) {
    total[phase_name(phase)] = row_json(
        phase_total(simulated, phase), phase_total(measured, phase), measured.is_whole(phase));
  }
  const Json json = {{"format", "moesim-comparison"},
                     {"format_version", 1},
                     {"phases", total},
                     {"layers", layers},
                     {"simulated", Json::parse(to_json(simulated))},
                     {"measured", Json::parse(gpu_json(measured))}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace moesim::cli
