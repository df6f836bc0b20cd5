// SPDX-License-Identifier: Apache-2.0
#include "sim/report/whole_report.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "sim/report/table.hpp"

namespace moesim {
namespace {

using Json = nlohmann::ordered_json;

double s(SimTime time) {
  return time.to_seconds().value;
}

Distribution step_times(const WholeReport& report) {
  std::vector<double> times;
  for (const WholeStepResult& step : report.steps) {
    times.push_back(s(step.makespan));
  }
  return distribution_of(std::move(times));
}

/// Seconds of each part, mean over steps.
std::vector<double> mean_parts(const WholeReport& report) {
  std::vector<double> parts(kNumWholeParts);
  for (std::size_t p = 0; p < kNumWholeParts; ++p) {
    for (const WholeStepResult& step : report.steps) {
      parts[p] += s(step.parts[p]) / static_cast<double>(report.steps.size());
    }
  }
  return parts;
}

std::string head(const WholeReport& report) {
  return wrapped(fmt::format("{}: {} {} step(s) of {} on {} ranks, tp {}, {} tokens a rank, "
                             "context {}, seed {}",
                             report.scenario,
                             report.steps.size(),
                             report.kind,
                             report.model,
                             report.parallel.ep,
                             report.parallel.tp,
                             report.batch.tokens_per_rank,
                             report.batch.context_tokens,
                             report.seed)) +
         wrapped(fmt::format("evidence: {} ({})", to_text(report.grade), report.evidence_source));
}

std::string critical_path(const WholeReport& report, double total) {
  const std::vector<double> parts = mean_parts(report);
  std::vector<std::vector<std::string>> rows;
  for (std::size_t p = 0; p < kNumWholeParts; ++p) {
    if (parts[p] > 0) {
      rows.push_back({std::string(whole_part_name(static_cast<WholePart>(p))),
                      readable_time(parts[p]),
                      readable_share(parts[p] / total)});
    }
  }
  return table({"critical path", "time", "share"}, rows);
}

std::string throughput_lines(const WholeReport& report, double mean_step) {
  const Throughput t = throughput_of(report);
  std::string text = fmt::format("tokens/s: {} a rank, {} a node, {} in all\n",
                                 three_digits(t.per_rank),
                                 three_digits(t.per_node),
                                 three_digits(t.total));
  if (report.kind == "decode") {
    text += fmt::format("time per output token: {}\n", readable_time(mean_step));
  }
  return text;
}

Json parts_json(const std::vector<double>& parts) {
  Json json;
  for (std::size_t p = 0; p < kNumWholeParts; ++p) {
    json[std::string(whole_part_name(static_cast<WholePart>(p))) + "_s"] = parts[p];
  }
  return json;
}

Json steps_json(const WholeReport& report) {
  Json steps = Json::array();
  for (const WholeStepResult& step : report.steps) {
    std::vector<double> parts;
    for (const SimTime part : step.parts) {
      parts.push_back(s(part));
    }
    steps.push_back({{"step", step.step},
                     {"makespan_s", s(step.makespan)},
                     {"flows", step.flows},
                     {"network_events", step.network_events},
                     {"critical_path", parts_json(parts)}});
  }
  return steps;
}

}  // namespace

Throughput throughput_of(const WholeReport& report) {
  const double per_rank = report.batch.tokens_per_rank / step_times(report).mean;
  return {.per_rank = per_rank,
          .per_node = per_rank * std::min(report.gpus_per_node, report.parallel.ep),
          .total = per_rank * report.parallel.ep};
}

std::string whole_text(const WholeReport& report) {
  const Distribution times = step_times(report);
  std::string text = head(report) + "\n" +
                     table({"step", "mean", "min", "P50", "P99", "max"},
                           {{"time",
                             readable_time(times.mean),
                             readable_time(times.min),
                             readable_time(times.p50),
                             readable_time(times.p99),
                             readable_time(times.max)}}) +
                     "\n" + critical_path(report, times.mean) + "\n" +
                     throughput_lines(report, times.mean);
  if (report.money) {
    text += "\n";
    text += money_text(*report.money, throughput_of(report).total, report.kind);
  }
  for (const std::string& note : report.notes) {
    text += wrapped("note: " + note);
  }
  for (const std::string& fault : report.faults) {
    text += wrapped("fault: " + fault);
  }
  return text;
}

std::string whole_json(const WholeReport& report) {
  const Distribution times = step_times(report);
  const Throughput rate = throughput_of(report);
  Json inputs = Json::array();
  for (const InputDigest& input : report.inputs) {
    inputs.push_back({{"path", input.path}, {"sha256", input.sha256}});
  }
  Json summary = {{"steps", report.steps.size()},
                  {"step_s",
                   {{"mean", times.mean},
                    {"min", times.min},
                    {"p50", times.p50},
                    {"p90", times.p90},
                    {"p99", times.p99},
                    {"max", times.max}}},
                  {"critical_path", parts_json(mean_parts(report))},
                  {"tokens_per_s_per_rank", rate.per_rank},
                  {"tokens_per_s_per_node", rate.per_node},
                  {"tokens_per_s", rate.total}};
  Json json = {{"format", "moesim-whole-report"},
               {"format_version", 1},
               {"moesim_version", report.version},
               {"scenario", report.scenario},
               {"seed", report.seed},
               {"inputs", inputs},
               {"step_kind", report.kind},
               {"evidence", {{"grade", to_text(report.grade)}, {"source", report.evidence_source}}},
               {"notes", report.notes},
               {"faults", report.faults},
               {"summary", summary},
               {"steps", steps_json(report)},
               {"resolved_scenario", report.resolved}};
  if (report.money) {
    json["money"] = money_json(*report.money, rate.total);
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace moesim
