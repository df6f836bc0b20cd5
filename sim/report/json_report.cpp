// SPDX-License-Identifier: Apache-2.0
#include "sim/report/json_report.hpp"

#include <nlohmann/json.hpp>

#include <span>

#include "sim/report/seconds.hpp"

namespace moesim {
namespace {

using Json = nlohmann::ordered_json;

Json optional_number(const std::optional<double>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json spread_json(const RankSpread& spread) {
  return {{"mean_s", spread.mean.value}, {"max_s", spread.max.value}};
}

Json phases_json(const RankSpread& gate,
                 const RankSpread& dispatch,
                 const RankSpread& experts,
                 const RankSpread& combine) {
  return {{"gate", spread_json(gate)},
          {"dispatch", spread_json(dispatch)},
          {"experts", spread_json(experts)},
          {"combine", spread_json(combine)}};
}

Json parts_json(const Parts& parts) {
  Json json;
  for (std::size_t p = 0; p < kNumParts; ++p) {
    json[std::string(part_name(static_cast<Part>(p))) + "_s"] = s(parts[p]);
  }
  return json;
}

/// Seconds by part, means over steps.
Json seconds_json(std::span<const double> parts_s) {
  Json json;
  for (std::size_t p = 0; p < kNumParts; ++p) {
    json[std::string(part_name(static_cast<Part>(p))) + "_s"] = parts_s[p];
  }
  return json;
}

Json hot_json(const LayerResult& layer, const RunReport& report) {
  Json json;
  json["experts"] = Json::array();
  for (const Hot<ExpertId>& hot : layer.hot_experts) {
    json["experts"].push_back({{"expert", hot.id.value}, {"assignments", hot.value}});
  }
  json["ranks"] = Json::array();
  for (const Hot<RankId>& hot : layer.hot_ranks) {
    json["ranks"].push_back({{"rank", hot.id.value}, {"assignments", hot.value}});
  }
  json["pairs"] = Json::array();
  for (const HotPair& hot : layer.hot_pairs) {
    json["pairs"].push_back({{"source", hot.source.value},
                             {"destination", hot.destination.value},
                             {"dispatch_bytes", hot.bytes}});
  }
  json["links"] = Json::array();
  for (const HotLink& hot : layer.hot_links) {
    json["links"].push_back({{"link", hot.id.value},
                             {"name", report.link_names[hot.id.index()]},
                             {"bytes", hot.bytes},
                             {"busy_s", hot.busy.value}});
  }
  return json;
}

/// Null where nothing leaves its scale-up domain.
Json cut_json(const CutBound& cut) {
  return cut.cut.empty() ? Json(nullptr) : Json{{"name", cut.cut}, {"bound_s", cut.time.value}};
}

Json layer_json(const LayerResult& layer, const RunReport& report) {
  return {{"layer", layer.layer},
          {"first_start_s", s(layer.first_start)},
          {"last_finish_s", s(layer.last_finish)},
          {"makespan_s", s(layer.makespan())},
          {"phases", phases_json(layer.gate, layer.dispatch, layer.experts, layer.combine)},
          {"dispatch_bound_s", layer.dispatch_bound.value},
          {"combine_bound_s", layer.combine_bound.value},
          {"dispatch_cut", cut_json(layer.dispatch_cut)},
          {"combine_cut", cut_json(layer.combine_cut)},
          {"critical_path", parts_json(layer.parts)},
          {"assignments", layer.assignments},
          {"dropped_assignments", layer.dropped},
          {"gate_weight", layer.gate_weight},
          {"dropped_gate_weight", optional_number(layer.dropped_weight)},
          {"diverted_assignments", layer.diverted},
          {"tokens", layer.tokens},
          {"lost_tokens", layer.lost_tokens},
          {"padding_rows", layer.padding_rows},
          {"rank_imbalance_ratio", layer.rank_imbalance},
          {"expert_imbalance_ratio", layer.expert_imbalance},
          {"dispatch_bytes", layer.dispatch_bytes},
          {"combine_bytes", layer.combine_bytes},
          {"scale_out_bytes", layer.scale_out_bytes},
          {"hot", hot_json(layer, report)}};
}

Json summary_json(const RunReport& report) {
  const RunSummary run = summarise(report);
  Json layers = Json::array();
  for (const LayerSummary& layer : run.layers) {
    layers.push_back(
        {{"layer", layer.layer},
         {"makespan_s", layer.makespan_s},
         {"critical_path", seconds_json(layer.parts_s)},
         {"phases", phases_json(layer.gate, layer.dispatch, layer.experts, layer.combine)},
         {"rank_imbalance_ratio", layer.rank_imbalance},
         {"expert_imbalance_ratio", layer.expert_imbalance},
         {"assignments", layer.assignments},
         {"dropped_assignments", layer.dropped}});
  }
  return {{"steps", report.steps.size()},
          {"step_s",
           {{"mean", run.step_s.mean},
            {"min", run.step_s.min},
            {"p50", run.step_s.p50},
            {"p90", run.step_s.p90},
            {"p99", run.step_s.p99},
            {"max", run.step_s.max}}},
          {"critical_path", seconds_json(run.parts_s)},
          {"assignments", run.assignments},
          {"dropped_assignments", run.dropped},
          {"dropped_ratio", run.dropped_share()},
          {"dropped_gate_weight_ratio", optional_number(run.dropped_weight_share())},
          {"diverted_assignments", run.diverted},
          {"lost_token_ratio", run.lost_token_share()},
          {"padding_rows", run.padding_rows},
          {"padding_ratio", run.padding_share()},
          {"rank_imbalance_ratio", run.rank_imbalance},
          {"flows", run.flows},
          {"network_events", run.network_events},
          {"layers", layers}};
}

/// Null without faults.
Json fault_effect_json(const RunReport& report) {
  if (!report.without_faults) {
    return nullptr;
  }
  const WithoutFaults& without = *report.without_faults;
  const RunSummary run = summarise(report);
  Json layers = Json::array();
  for (const LayerSummary& layer : run.layers) {
    const double before = without.layer_makespan_s[static_cast<std::size_t>(layer.layer)];
    layers.push_back({{"layer", layer.layer},
                      {"makespan_without_s", before},
                      {"makespan_ratio", layer.makespan_s / before}});
  }
  return {{"step_mean_without_s", without.step_mean_s},
          {"step_ratio", run.step_s.mean / without.step_mean_s},
          {"layers", layers}};
}

Json band_json(const std::optional<Band>& band) {
  return band ? Json{{"p10_ratio", band->p10}, {"p90_ratio", band->p90}} : Json(nullptr);
}

Json evidence_json(const RunReport& report) {
  Json phases = Json::object();
  for (const PhaseEvidence& phase : report.evidence.phases) {
    phases[phase.phase] = {{"grade", to_text(phase.grade)},
                           {"kernel", phase.kernel},
                           {"band", band_json(phase.band)},
                           {"outside", phase.out}};
  }
  return {{"grade", to_text(report.evidence.grade)},
          {"source", report.evidence_source},
          {"band", band_json(report.evidence.band)},
          {"phases", phases}};
}

Json routing_json(const RoutingSourceInfo& routing) {
  return {{"model", routing.model},
          {"origin", routing.origin},
          {"draw", routing.draw},
          {"experts", routing.num_experts},
          {"top_k", routing.top_k},
          {"layers", routing.layers},
          {"has_gate_weights", routing.has_weights}};
}

}  // namespace

Json head_json(std::string_view format, const RunReport& report) {
  Json inputs = Json::array();
  for (const InputDigest& input : report.inputs) {
    inputs.push_back({{"path", input.path}, {"sha256", input.sha256}});
  }
  return {{"format", format},
          {"format_version", 1},
          {"moesim_version", report.version},
          {"scenario", report.scenario},
          {"seed", report.seed},
          {"inputs", inputs},
          {"evidence", evidence_json(report)},
          {"notes", report.notes},
          {"joins", report.joins},
          {"faults", report.faults},
          {"routing", routing_json(report.routing)}};
}

Json run_json(const RunReport& report) {
  Json steps = Json::array();
  for (const StepResult& step : report.steps) {
    Json layers = Json::array();
    for (const LayerResult& layer : step.layers) {
      layers.push_back(layer_json(layer, report));
    }
    steps.push_back({{"step", step.step},
                     {"makespan_s", s(step.makespan)},
                     {"flows", step.flows},
                     {"network_events", step.network_events},
                     {"critical_path", parts_json(step.parts)},
                     {"layers", layers}});
  }
  Json json = head_json("moesim-report", report);
  json["fault_effect"] = fault_effect_json(report);
  json["summary"] = summary_json(report);
  json["steps"] = steps;
  json["resolved_scenario"] = report.resolved;
  return json;
}

std::string to_json(const RunReport& report) {
  return run_json(report).dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace moesim
