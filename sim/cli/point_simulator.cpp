// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/point_simulator.hpp"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

#include "sim/calibrate/report_path.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/serving_run.hpp"
#include "sim/cli/whole_run.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/report/json_report.hpp"
#include "sim/report/memory_report.hpp"
#include "sim/report/serving_report.hpp"
#include "sim/report/whole_report.hpp"
#include "sim/scenario/digest.hpp"
#include "sim/scenario/memory_model.hpp"
#include "sim/scenario/resolved_file.hpp"
#include "sim/step/replay.hpp"

namespace moesim::cli {
namespace {

using Json = nlohmann::ordered_json;

/// Stands where `moesim run` names the scenario's file.
constexpr const char* kNoFile = "a point of a sweep";

void add_model(Json& report, const Scenario& scenario) {
  report["model"] = {{"total_parameters", total_parameters(scenario.model)},
                     {"active_parameters", active_parameters(scenario.model)}};
}

void add_memory(Json& report, const Scenario& scenario) {
  report["memory"] = memory_summary(memory_report(memory_model(scenario)));
}

}  // namespace

std::vector<InputDigest> PointSimulator::data_digests(const Scenario& scenario) {
  std::vector<InputDigest> digests;
  const std::scoped_lock lock(mutex_);
  for (const std::filesystem::path& file : data_files(scenario)) {
    std::string& known = digests_[file.string()];
    known = known.empty() ? sha256_hex(file) : known;
    digests.push_back({file.string(), known});
  }
  return digests;
}

std::string PointSimulator::key(const Scenario& scenario) {
  std::string text = fmt::format("moesim {}\n{}", MOESIM_VERSION, resolved_toml(scenario));
  for (const InputDigest& input : data_digests(scenario)) {
    text += input.sha256 + "\n";
  }
  return sha256_hex_of_text(text);
}

std::string PointSimulator::report(const Scenario& scenario) {
  SimulateControl control;
  control.cache = &cache_;
  control.inputs = data_digests(scenario);
  if (scenario.step.kind == StepKind::kMoeLayers) {
    return to_json(simulate(kNoFile, scenario, control));
  }
  if (scenario.step.kind == StepKind::kServing) {
    ServingReport served = simulate_serving(
        kNoFile, scenario, {.threads = 0, .progress = false, .inputs = control.inputs});
    if (interrupted()) {
      throw Cancelled();
    }
    return serving_json(served);
  }
  return whole_json(simulate_whole(kNoFile, scenario, control));
}

Evaluation PointSimulator::evaluate(const Scenario& scenario,
                                    const std::vector<std::string>& metrics) {
  Evaluation result;
  try {
    Json json = Json::parse(report(scenario));
    add_model(json, scenario);
    if (scenario.step.kind != StepKind::kMoeLayers && scenario.step.kind != StepKind::kServing) {
      add_memory(json, scenario);
    }
    for (const std::string& path : metrics) {
      if (const Json* found = calibrate::at_path(json, path)) {
        result.metrics.push_back({path, scalar_of(*found)});
      }
    }
    result.text = json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  } catch (const UserError& error) {
    result.refused = true;
    result.text = error.what();
  }
  return result;
}

std::vector<std::string> default_metrics(const StepKinds& kinds) {
  std::vector<std::string> metrics;
  const auto add = [&](bool any, std::initializer_list<const char*> paths) {
    for (const char* path : paths) {
      if (any && std::find(metrics.begin(), metrics.end(), path) == metrics.end()) {
        metrics.emplace_back(path);
      }
    }
  };
  const bool layers = kinds.contains(StepKind::kMoeLayers);
  const bool train = kinds.contains(StepKind::kTrain);
  const bool whole =
      train || kinds.contains(StepKind::kPrefill) || kinds.contains(StepKind::kDecode);
  add(layers || whole, {"summary.step_s.mean"});
  add(whole,
      {"summary.tokens_per_s_per_rank",
       "summary.critical_path.attention_s",
       "summary.critical_path.dispatch_s",
       "summary.critical_path.experts_s",
       "summary.critical_path.combine_s",
       "memory.total_bytes"});
  add(train, {"summary.mfu_ratio", "summary.bubble_ratio"});
  add(layers,
      {"summary.critical_path.experts_s",
       "summary.critical_path.hot_expert_s",
       "summary.critical_path.combine_s",
       "summary.rank_imbalance_ratio",
       "summary.dropped_ratio"});
  add(kinds.contains(StepKind::kServing),
      {"summary.ttft_s.p50",
       "summary.ttft_s.p95",
       "summary.tpot_s.p50",
       "summary.tpot_s.p95",
       "summary.output_tokens_per_s",
       "summary.goodput_requests_per_s",
       "summary.slo_ratio",
       "summary.utilization_ratio",
       "step_times.p90_error_ratio"});
  add(true, {"evidence.grade"});
  return metrics;
}

}  // namespace moesim::cli
