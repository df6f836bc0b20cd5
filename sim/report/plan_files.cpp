// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

#include "sim/report/plan_report.hpp"

namespace moesim {
namespace {

using Json = nlohmann::ordered_json;

bool is_simulated(const PlanRow& row) {
  return row.outcome.state == PlanState::kFeasible || row.outcome.state == PlanState::kOverLimit;
}

Json score_json(const PlanScore& score, bool priced) {
  return {{"tokens_per_s_per_gpu", score.throughput},
          {"latency_s", score.latency},
          {"usd_per_million_tokens",
           priced && std::isfinite(score.cost) ? Json(score.cost) : Json(nullptr)}};
}

Json row_json(const PlanReport& report, std::size_t index) {
  const PlanRow& row = report.rows[index];
  Json settings = Json::object();
  for (std::size_t k = 0; k < report.keys.size(); ++k) {
    settings[report.keys[k]] = row.values[k];
  }
  Json json = {{"configuration", index}, {"settings", settings}};
  if (!row.refusal.empty()) {
    json["state"] = "refused";
    json["reason"] = row.refusal;
    return json;
  }
  const bool priced = row.money.has_value();
  json["state"] = state_name(row.outcome.state);
  json["gpus"] = row.gpus;
  json["nodes"] = row.nodes;
  json["memory_ratio"] = row.memory_share;
  json["bound"] = score_json(row.bound, priced);
  json["bound_of"] = row.outcome.sharpened ? "traffic" : "compute_and_memory";
  if (is_simulated(row)) {
    json["score"] = score_json(row.outcome.score, priced);
    json["grade"] = to_text(row.grade);
    if (priced && row.served) {
      json["money"] = serving_money_json(*row.money, row.served->load);
    } else if (priced) {
      json["money"] = money_json(*row.money, row.outcome.score.throughput * row.gpus);
    }
  }
  if (row.served) {
    json["serving"] = {{"ttft_p95_s", row.served->ttft_p95},
                       {"tpot_p95_s", row.served->tpot_p95},
                       {"slo_ratio", row.served->slo_ratio},
                       {"utilization_ratio", row.served->load.busy},
                       {"kv_max_ratio", row.served->kv_most}};
  }
  if (row.outcome.state == PlanState::kDominated) {
    json["dominated_by"] = row.outcome.by;
  }
  if (row.limit) {
    json["limit"] = {{"part", whole_part_name(row.limit->part)},
                     {"share_ratio", row.limit->share},
                     {"resource", resource_name(row.limit->resource)}};
  }
  return json;
}

Json refusals_json(const PlanReport& report) {
  Json json = Json::array();
  for (const PlanRefusal& refusal : report.refusals) {
    json.push_back(
        {{"reason", refusal.reason}, {"count", refusal.count}, {"example", refusal.example}});
  }
  return json;
}

Json sensitivity_json(const PlanReport& report) {
  Json swings = Json::array();
  for (const PlanSwing& swing : report.swings) {
    swings.push_back({{"input", swing.knob}, {"low", swing.low}, {"high", swing.high}});
  }
  Json thresholds = Json::array();
  for (const PlanThreshold& t : report.thresholds) {
    thresholds.push_back({{"input", t.knob},
                          {"of", t.side},
                          {"factor", t.factor ? Json(*t.factor) : Json(nullptr)},
                          {"tried_factor", t.tried}});
  }
  return {{"objective", objective_name(report.choose)},
          {"vary_ratio", report.vary},
          {"swings", swings},
          {"thresholds", thresholds}};
}

/// A CSV cell.
std::string cell(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) {
    return text;
  }
  std::string quoted = "\"";
  for (const char c : text) {
    quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  }
  return quoted + "\"";
}

std::string score_cells(const PlanScore& score, bool priced) {
  return fmt::format(",{},{},{}",
                     score.throughput,
                     score.latency,
                     priced && std::isfinite(score.cost) ? fmt::format("{}", score.cost) : "");
}

}  // namespace

std::string plan_json(const PlanReport& report) {
  Json inputs = Json::array();
  for (const InputDigest& input : report.inputs) {
    inputs.push_back({{"path", input.path}, {"sha256", input.sha256}});
  }
  Json objectives = Json::array();
  for (const PlanObjective objective : report.objectives) {
    objectives.push_back(objective_name(objective));
  }
  Json rows = Json::array();
  for (std::size_t i = 0; i < report.rows.size(); ++i) {
    rows.push_back(row_json(report, i));
  }
  const Json json = {
      {"format", "moesim-plan"},
      {"format_version", 1},
      {"moesim_version", report.version},
      {"plan", report.plan},
      {"scenario", report.scenario},
      {"inputs", inputs},
      {"step_kind", report.kind},
      {"latency_of", latency_name(report.latency)},
      {"model", report.model},
      {"method", report.method},
      {"cost", report.cost.empty() ? Json(nullptr) : Json(report.cost)},
      {"objectives", objectives},
      {"limits", report.limits},
      {"steps", report.steps},
      {"partial", report.interrupted},
      {"front", report.front},
      {"choice", report.front.empty() ? Json(nullptr) : Json(report.front.front())},
      {"alternative", report.alternative ? Json(*report.alternative) : Json(nullptr)},
      {"sensitivity", sensitivity_json(report)},
      {"evidence", report.evidence},
      {"notes", report.notes},
      {"refusals", refusals_json(report)},
      {"configurations", rows},
      {"resolved_choice", report.resolved_choice}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string plan_csv(const PlanReport& report) {
  std::string csv = "configuration";
  for (const std::string& key : report.keys) {
    csv += fmt::format(",{}", cell(key));
  }
  csv +=
      ",state,on_front,gpus,nodes,tokens_per_s_per_gpu,latency_s,usd_per_million_tokens,"
      "bound_tokens_per_s_per_gpu,bound_latency_s,bound_usd_per_million_tokens,power_w,"
      "limited_by,resource,tpot_p95_s,slo_ratio,reason\n";
  for (std::size_t i = 0; i < report.rows.size(); ++i) {
    const PlanRow& row = report.rows[i];
    csv += fmt::format("{}", i);
    for (const std::string& value : row.values) {
      csv += fmt::format(",{}", cell(value));
    }
    if (!row.refusal.empty()) {
      constexpr std::string_view kNothing = ",,,,,,,,,,,,,";  // gpus to slo_ratio
      csv += fmt::format(",refused,0{},{}\n", kNothing, cell(row.refusal));
      continue;
    }
    const bool front = std::find(report.front.begin(), report.front.end(), i) != report.front.end();
    const bool priced = row.money.has_value();
    csv += fmt::format(
        ",{},{},{},{}", state_name(row.outcome.state), front ? 1 : 0, row.gpus, row.nodes);
    csv += is_simulated(row) ? score_cells(row.outcome.score, priced) : ",,,";
    csv += score_cells(row.bound, priced);
    csv += priced ? fmt::format(",{}", row.money->running.power.value) : ",";
    csv += row.limit
               ? fmt::format(
                     ",{},{}", whole_part_name(row.limit->part), resource_name(row.limit->resource))
               : ",,";
    csv += row.served ? fmt::format(",{},{}", row.served->tpot_p95, row.served->slo_ratio) : ",,";
    csv += ",\n";
  }
  return csv;
}

}  // namespace moesim
