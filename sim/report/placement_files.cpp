// SPDX-License-Identifier: Apache-2.0
// The placement study as JSON and CSV.
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <cmath>

#include "sim/moe/replica_names.hpp"
#include "sim/report/json_report.hpp"
#include "sim/report/placement_gap.hpp"
#include "sim/report/placement_report.hpp"

namespace moesim {
namespace {

using Json = nlohmann::ordered_json;

Json or_null(const std::optional<double>& value) {
  return value ? Json(*value) : Json(nullptr);
}

std::optional<double> finite(double value) {
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

Json over_steps(const std::vector<double>& values) {
  const Distribution d = distribution_of(values);
  return {{"mean", d.mean}, {"p50", d.p50}, {"p95", d.p95}, {"p99", d.p99}, {"max", d.max}};
}

Json hot_json(const JudgedPlacement& j, const RunReport& run) {
  const LayerResult& layer = j.slowest.result;
  Json experts = Json::array();
  for (const auto& hot : layer.hot_experts) {
    experts.push_back({{"expert", hot.id.value}, {"assignments", hot.value}});
  }
  Json ranks = Json::array();
  for (const auto& hot : layer.hot_ranks) {
    ranks.push_back({{"rank", hot.id.value}, {"assignments", hot.value}});
  }
  Json pairs = Json::array();
  for (const HotPair& hot : layer.hot_pairs) {
    pairs.push_back({{"source", hot.source.value},
                     {"destination", hot.destination.value},
                     {"bytes", hot.bytes}});
  }
  Json links = Json::array();
  for (const HotLink& hot : layer.hot_links) {
    links.push_back({{"link", run.link_names[hot.id.index()]},
                     {"bytes", hot.bytes},
                     {"busy_s", hot.busy.value}});
  }
  return {{"step", j.slowest.step},
          {"layer", layer.layer},
          {"makespan_s", layer.makespan().to_seconds().value},
          {"hot_experts", experts},
          {"hot_ranks", ranks},
          {"hot_pairs", pairs},
          {"hot_links", links}};
}

Json verdict_json(const JudgedPlacement& j, const PlacementStudy& study) {
  const Verdict& v = j.verdict;
  return {{"verdict", to_text(v.kind)},
          {"gain_s", v.gain_s},
          {"gain_half_width_s", or_null(finite(v.half_width_s))},
          {"needed_s", v.needed_s},
          {"break_even_steps", or_null(v.break_even_steps)},
          {"steps_to_settle", or_null(v.steps_to_settle)},
          {"text", verdict_text(j, study.judged.front(), study.options.horizon)}};
}

Json gap_json(const JudgedPlacement& j, const PlacementStudy& study) {
  const std::optional<PlacementGap> gap = placement_gap(study, j);
  if (!gap) {
    return nullptr;
  }
  return {{"ratio", gap->gap},
          {"unknown_before_ratio", or_null(gap->unknown_before)},
          {"open_ratio", gap->open},
          {"most_gain_ratio", gap->most_gain},
          {"gained_over_eplb_ratio", or_null(gap->gained)}};
}

Json placement_of(const JudgedPlacement& j, const PlacementReport& report) {
  Json json = {{"name", j.name},
               {"replica_choice", to_text(j.replicas)},
               {"hindsight", j.hindsight},
               {"rank_imbalance_ratio", over_steps(j.rank_imbalance)},
               {"layer_s", over_steps(j.layer_s)},
               {"step_s", over_steps(j.step_s)},
               {"bound_layer_s", or_null(j.bound_layer_s)},
               {"scale_out_bytes", over_steps(j.scale_out_bytes)},
               {"slots_per_rank", j.slots_per_rank},
               {"most_copies", j.most_copies},
               {"expert_bytes", j.expert_bytes},
               {"fits_memory", j.fits},
               {"replica_bytes", j.replica_bytes},
               {"replica_tokens", j.replica_tokens},
               {"experts_lost_with_a_node", j.lost_experts}};
  json["migration"] = {{"experts", j.migration.experts_sent},
                       {"bytes", j.migration.total_bytes()},
                       {"scale_out_bytes", j.migration.scale_out_bytes},
                       {"pause_s", j.pause.value},
                       {"beside_s", j.beside.value}};
  json["window_gain_ratio"] = j.window_gain;
  json["gap"] = gap_json(j, report.study);
  json["verdict"] = verdict_json(j, report.study);
  json["slowest_layer"] = hot_json(j, report.run);
  return json;
}

Json policy_json(const RebalanceOutcome& o) {
  return {{"policy", policy_text(o.policy)},
          {"every_steps", o.policy.every > 0 ? Json(o.policy.every) : Json(nullptr)},
          {"threshold", o.policy.threshold > 0.0 ? Json(o.policy.threshold) : Json(nullptr)},
          {"moves", o.moves},
          {"moved_bytes", o.moved_bytes},
          {"stall_s", o.stall_s},
          {"step_s", over_steps(o.step_s)},
          {"step_with_stall_mean_s", o.mean_s()}};
}

}  // namespace

std::string placement_json(const PlacementReport& report) {
  const StudyOptions& o = report.study.options;
  Json json = head_json("moesim-placement", report.run);
  json["training"] = {{"first_step", o.train.first}, {"steps", o.train.steps}};
  json["judged"] = {
      {"first_step", o.train.first + o.train.steps}, {"steps", o.steps}, {"windows", o.windows}};
  json["horizon_steps"] = o.horizon;
  json["move_steps"] = o.move_steps;
  json["placements"] = Json::array();
  for (const JudgedPlacement& judged : report.study.judged) {
    json["placements"].push_back(placement_of(judged, report));
  }
  json["policies"] = Json::array();
  for (const RebalanceOutcome& outcome : report.policies) {
    json["policies"].push_back(policy_json(outcome));
  }
  json["resolved_scenario"] = report.run.resolved;
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string placement_csv(const PlacementReport& report) {
  std::string csv =
      "placement,rank_imbalance_ratio,layer_mean_s,layer_p99_s,bound_layer_s,step_mean_s,step_p99_"
      "s,"
      "scale_out_bytes,slots_per_rank,replica_bytes,replica_tokens,experts_lost_with_a_node,"
      "migration_bytes,pause_s,beside_s,gain_s,gain_half_width_s,break_even_steps,verdict\n";
  const auto or_empty = [](const std::optional<double>& value) {
    return value ? fmt::format("{}", *value) : "";
  };
  for (const JudgedPlacement& j : report.study.judged) {
    const Distribution layer = distribution_of(j.layer_s);
    const Distribution step = distribution_of(j.step_s);
    csv += fmt::format("{},{},{},{},{},{},{},{}",
                       j.name,
                       distribution_of(j.rank_imbalance).mean,
                       layer.mean,
                       layer.p99,
                       or_empty(j.bound_layer_s),
                       step.mean,
                       step.p99,
                       distribution_of(j.scale_out_bytes).mean);
    csv += fmt::format(",{},{},{},{},{},{},{}",
                       j.slots_per_rank,
                       j.replica_bytes,
                       j.replica_tokens,
                       j.lost_experts,
                       j.migration.total_bytes(),
                       j.pause.value,
                       j.beside.value);
    csv += fmt::format(",{},{},{},{}\n",
                       j.verdict.gain_s,
                       or_empty(finite(j.verdict.half_width_s)),
                       or_empty(j.verdict.break_even_steps),
                       to_text(j.verdict.kind));
  }
  return csv;
}

std::string placement_steps_csv(const PlacementReport& report) {
  const StudyOptions& o = report.study.options;
  std::string csv = "placement,step,step_s,scale_out_bytes\n";
  for (const JudgedPlacement& j : report.study.judged) {
    for (std::size_t i = 0; i < j.step_s.size(); ++i) {
      csv += fmt::format("{},{},{},{}\n",
                         j.name,
                         o.train.first + o.train.steps + static_cast<int>(i),
                         j.step_s[i],
                         j.scale_out_bytes[i]);
    }
  }
  return csv;
}

}  // namespace moesim
