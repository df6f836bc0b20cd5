// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <iterator>

#include "sim/report/seconds.hpp"
#include "sim/report/serving_report.hpp"

namespace moesim {
namespace {

using Json = nlohmann::ordered_json;

Json times_json(const std::optional<Distribution>& d) {
  if (!d) {
    return nullptr;
  }
  return {{"mean", d->mean}, {"p50", d->p50}, {"p95", d->p95}, {"p99", d->p99}, {"max", d->max}};
}

Json slo_json(Seconds slo) {
  return slo.value > 0 ? Json(slo.value) : Json();
}

Json summary_json(const ServingReport& report, const ServingFigures& f) {
  const bool slo = has_slo(report.spec);
  const auto met = static_cast<double>(f.met_slo);
  const double output = f.per_second(static_cast<double>(f.output_tokens));
  return {{"requests", report.run.requests.size()},
          {"counted", f.counted},
          {"warm_up", f.warm_up},
          {"rejected", f.rejected},
          {"unfinished", f.unfinished},
          {"duration_s", f.duration_s},
          {"ttft_s", times_json(f.ttft)},
          {"tpot_s", times_json(f.tpot)},
          {"latency_s", times_json(f.latency)},
          {"queue_s", times_json(f.queue)},
          {"requests_per_s", f.per_second(static_cast<double>(f.counted))},
          {"prompt_tokens_per_s", f.per_second(static_cast<double>(f.prompt_tokens))},
          {"output_tokens_per_s", output},
          {"output_tokens_per_s_per_gpu", output / report.gpus()},
          {"goodput_requests_per_s", slo ? Json(f.per_second(met)) : Json()},
          {"goodput_tokens_per_s",
           slo ? Json(f.per_second(static_cast<double>(f.good_tokens))) : Json()},
          {"slo_ratio", slo && f.counted > 0 ? Json(met / static_cast<double>(f.counted)) : Json()},
          {"utilization_ratio", f.utilization},
          {"step_mean_s", f.step_mean_s},
          {"steps", report.run.steps},
          {"prefill_steps", report.run.prefill_steps},
          {"mean_waiting", f.mean_waiting},
          {"mean_running", f.mean_running},
          {"kv_mean_ratio", f.mean_kv},
          {"kv_max_ratio", f.most_kv},
          {"preemptions", report.run.preemptions},
          {"kv_moves", report.run.moves},
          {"prefix_hit_tokens", report.run.prefix_hits},
          {"prefix_hit_ratio",
           report.spec.prefix_cache && report.run.admitted_tokens > 0
               ? Json(static_cast<double>(report.run.prefix_hits) /
                      static_cast<double>(report.run.admitted_tokens))
               : Json()},
          {"prefix_dropped_blocks", report.run.dropped_blocks}};
}

Json checks_json(const ServingReport& report) {
  Json steps = Json::array();
  for (const StepCheck& check : report.checks) {
    steps.push_back({{"start_s", s(check.start)},
                     {"prefill_tokens", check.prefill_tokens},
                     {"decode_tokens", check.decode_tokens},
                     {"predicted_s", check.predicted.value},
                     {"simulated_s", check.simulated.value},
                     {"error_ratio", check.error()}});
  }
  const std::optional<CheckErrors> errors = errors_of(report.checks);
  return {{"points", report.surface_points},
          {"median_error_ratio", errors ? Json(errors->median) : Json()},
          {"p90_error_ratio", errors ? Json(errors->p90) : Json()},
          {"max_error_ratio", errors ? Json(errors->largest) : Json()},
          {"bias_ratio", errors ? Json(errors->mean) : Json()},
          {"total_error_ratio", errors ? Json(errors->weighted) : Json()},
          {"checked_steps", steps}};
}

}  // namespace

std::string serving_json(const ServingReport& report) {
  Json inputs = Json::array();
  for (const InputDigest& input : report.inputs) {
    inputs.push_back({{"path", input.path}, {"sha256", input.sha256}});
  }
  const ServingFigures figures = figures_of(report);
  Json json = {
      {"format", "moesim-serving-report"},
      {"format_version", 1},
      {"moesim_version", report.version},
      {"scenario", report.scenario},
      {"seed", report.seed},
      {"inputs", inputs},
      {"step_kind", "serving"},
      {"partial", report.run.partial},
      {"evidence", {{"grade", to_text(report.grade)}, {"source", report.evidence_source}}},
      {"arrivals", report.arrivals},
      {"routing", report.routing.empty() ? Json() : Json(report.routing)},
      {"independent_traces", !report.routing.empty()},
      {"policy", report.policy},
      {"slo",
       {{"ttft_s", slo_json(report.spec.ttft_slo)}, {"tpot_s", slo_json(report.spec.tpot_slo)}}},
      {"gpus", report.gpus()},
      {"kv_cache",
       {{"tokens_per_attention_group", report.kv.tokens},
        {"bytes_per_token", report.kv.per_token.value},
        {"fixed_bytes", report.kv.fixed.value}}},
      {"notes", report.notes},
      {"faults", report.faults},
      {"summary", summary_json(report, figures)},
      {"step_times", checks_json(report)},
      {"resolved_scenario", report.resolved}};
  if (report.money) {
    json["money"] = serving_money_json(*report.money, served_load(report, figures));
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string requests_csv(const ServingReport& report) {
  std::string text =
      "request,arrival_s,prompt_tokens,output_tokens,state,ep_group,attention_group,queue_s,ttft_s,"
      "tpot_s,latency_s,preemptions,within_slo\n";
  auto out = std::back_inserter(text);
  for (std::size_t i = 0; i < report.run.requests.size(); ++i) {
    const ServedRequest& r = report.run.requests[i];
    fmt::format_to(
        out, "{},{},{},{},", i, s(r.arrival), r.request.prompt_tokens, r.request.output_tokens);
    if (!r.done) {
      fmt::format_to(out, "{},,,,,,,{},\n", r.rejected ? "rejected" : "unfinished", r.preemptions);
      continue;
    }
    const RequestTimes times = times_of(r);
    fmt::format_to(out,
                   "{},{},{},{},{},{},{},{},{}\n",
                   s(r.arrival) < report.spec.warm_up.value ? "warm_up" : "counted",
                   r.ep_group,
                   r.attention_group,
                   times.queue,
                   times.ttft,
                   times.tpot ? fmt::format("{}", *times.tpot) : "",
                   times.latency,
                   r.preemptions,
                   meets_slo(r, report.spec) ? 1 : 0);
  }
  return text;
}

std::vector<SeriesRow> series_rows(const ServingReport& report) {
  const double interval = report.spec.interval.value;
  const double room = static_cast<double>(report.kv.tokens) * report.spec.groups *
                      (report.parallel.ep / report.parallel.tp);
  std::vector<SeriesRow> rows;
  for (std::size_t i = 0; i < report.run.series.size(); ++i) {
    const SeriesBin& bin = report.run.series[i];
    const double start = static_cast<double>(i) * interval;
    const double lasted = std::min(interval, s(report.run.end) - start);
    const double over = lasted > 0 ? lasted : 1;
    rows.push_back({.start_s = start,
                    .seconds = std::max(lasted, 0.0),
                    .arrivals = bin.arrivals,
                    .finished = bin.finished,
                    .waiting = bin.waiting_s / over,
                    .running = bin.running_s / over,
                    .kv_ratio = bin.kv_token_s / over / room,
                    .busy_ratio = bin.busy_s / over / report.spec.groups,
                    .steps = bin.steps,
                    .prefill_tokens = bin.prefill_tokens,
                    .output_tokens = bin.output_tokens});
  }
  return rows;
}

std::string series_csv(const ServingReport& report) {
  std::string text =
      "start_s,seconds,arrivals,finished,waiting,running,kv_ratio,busy_ratio,steps,prefill_tokens,"
      "output_tokens\n";
  auto out = std::back_inserter(text);
  for (const SeriesRow& row : series_rows(report)) {
    fmt::format_to(out,
                   "{},{},{},{},{},{},{},{},{},{},{}\n",
                   row.start_s,
                   row.seconds,
                   row.arrivals,
                   row.finished,
                   row.waiting,
                   row.running,
                   row.kv_ratio,
                   row.busy_ratio,
                   row.steps,
                   row.prefill_tokens,
                   row.output_tokens);
  }
  return text;
}

}  // namespace moesim
