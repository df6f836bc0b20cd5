// SPDX-License-Identifier: Apache-2.0
// The sweep as JSON and CSV.
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "sim/report/capacity_report.hpp"
#include "sim/report/json_report.hpp"

namespace moesim {
namespace {

using Json = nlohmann::ordered_json;

Json or_null(const std::optional<double>& value) {
  return value ? Json(*value) : Json(nullptr);
}

std::string or_empty(const std::optional<double>& value) {
  return value ? fmt::format("{}", *value) : "";
}

std::optional<double> price_s(const CapacitySummary& s) {
  return s.price ? std::optional(s.price->seconds) : std::nullopt;
}

std::optional<double> price_tokens(const CapacitySummary& s) {
  return s.price ? std::optional(s.price->tokens_per_s) : std::nullopt;
}

Json point_json(const CapacitySummary& s) {
  const CapacityPoint& p = *s.point;
  return {{"factor", p.spec.factor},
          {"dropped_ratio", {{"mean", s.dropped_mean}, {"p99", s.dropped_p99}}},
          {"dropped_gate_weight_ratio",
           {{"mean", or_null(s.weight_mean)}, {"p99", or_null(s.weight_p99)}}},
          {"assignments", p.assignments},
          {"dropped_assignments", p.dropped},
          {"diverted_assignments", p.diverted},
          {"lost_token_ratio", s.lost_tokens},
          {"padding_ratio", s.padding},
          {"padding_rows", p.padding_rows},
          {"dispatch_bytes", p.dispatch_bytes},
          {"combine_bytes", p.combine_bytes},
          {"scale_out_bytes", p.scale_out_bytes},
          {"step_s",
           {{"mean", s.step_s.mean},
            {"p50", s.step_s.p50},
            {"p95", s.step_s.p95},
            {"p99", s.step_s.p99}}},
          {"tokens_per_s", s.tokens_per_s},
          {"price_s_per_percent", or_null(price_s(s))},
          {"price_tokens_per_s_per_percent", or_null(price_tokens(s))},
          {"knee", s.is_knee}};
}

std::string csv_row(std::string_view policy,
                    std::string_view scope,
                    std::string_view factor,
                    const CapacitySummary& s) {
  const CapacityPoint& p = *s.point;
  std::string row = fmt::format("{},{},{},{},{},{},{},{},{},{}",
                                policy,
                                scope,
                                factor,
                                s.dropped_mean,
                                s.dropped_p99,
                                or_empty(s.weight_mean),
                                or_empty(s.weight_p99),
                                s.lost_tokens,
                                s.diverted,
                                s.padding);
  row += fmt::format(",{},{},{}", p.dispatch_bytes, p.combine_bytes, p.scale_out_bytes);
  row += fmt::format(",{},{},{},{}", s.step_s.mean, s.step_s.p50, s.step_s.p95, s.step_s.p99);
  return row + fmt::format(",{},{},{},{}\n",
                           s.tokens_per_s,
                           or_empty(price_s(s)),
                           or_empty(price_tokens(s)),
                           s.is_knee ? 1 : 0);
}

}  // namespace

std::string capacity_json(const CapacityReport& report) {
  const CapacitySweep& sweep = report.sweep;
  Json json = head_json("moesim-capacity", report.run);
  json["steps"] = sweep.steps;
  json["steps_done"] = sweep.steps_done;
  json["partial"] = sweep.steps_done < sweep.steps;
  json["simulated_steps"] = sweep.simulated;
  json["dropless"] = point_json(summarise_point(sweep.dropless));
  json["dropless"].erase("factor");
  json["dropless"].erase("knee");
  json["curves"] = Json::array();
  for (const CapacityCurveSummary& curve : summarise(report)) {
    Json points = Json::array();
    for (const CapacitySummary& point : curve.points) {
      points.push_back(point_json(point));
    }
    Json knee = nullptr;
    if (curve.knee) {
      knee = curve.points[*curve.knee].point->spec.factor;
    }
    json["curves"].push_back({{"policy", to_text(curve.curve.policy)},
                              {"scope", to_text(curve.curve.scope)},
                              {"knee_factor", knee},
                              {"points", points}});
  }
  json["resolved_scenario"] = report.run.resolved;
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string capacity_csv(const CapacityReport& report) {
  std::string csv =
      "policy,scope,factor,dropped_mean_ratio,dropped_p99_ratio,dropped_gate_weight_mean_ratio,"
      "dropped_gate_weight_p99_ratio,lost_token_ratio,diverted_ratio,padding_ratio,"
      "dispatch_bytes,combine_bytes,scale_out_bytes,step_mean_s,step_p50_s,step_p95_s,step_p99_s,"
      "tokens_per_s,price_s_per_percent,price_tokens_per_s_per_percent,is_knee\n";
  csv += csv_row("none", "", "", summarise_point(report.sweep.dropless));
  for (const CapacityCurveSummary& curve : summarise(report)) {
    for (const CapacitySummary& point : curve.points) {
      csv += csv_row(to_text(curve.curve.policy),
                     to_text(curve.curve.scope),
                     fmt::format("{}", point.point->spec.factor),
                     point);
    }
  }
  return csv;
}

}  // namespace moesim
