// SPDX-License-Identifier: Apache-2.0
#include "sim/report/whole_report.hpp"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "sim/report/seconds.hpp"
#include "sim/report/table.hpp"
#include "sim/report/text_report.hpp"

namespace moesim {
namespace {

using Json = nlohmann::ordered_json;

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

bool trains(const WholeReport& report) {
  return report.kind == "train";
}

/// Runs on stages, whose time the parts are of.
bool has_stages(const WholeReport& report) {
  return trains(report) || report.parallel.pp > 1;
}

/// Parts that the kind of step has.
std::size_t num_parts(const WholeReport& report) {
  const WholePart end = has_stages(report) ? WholePart::kGradients : WholePart::kPipeline;
  return trains(report) ? kNumWholeParts : static_cast<std::size_t>(end);
}

std::string layout(const WholeReport& report) {
  const ParallelSpec& p = report.parallel;
  std::string text = fmt::format("{} ranks, tp {}", p.ep, p.tp);
  if (has_stages(report)) {
    text = fmt::format("{} GPUs, ep {}, tp {}, pp {}{}{}, {} micro-batch(es)",
                       report.gpus,
                       p.ep,
                       p.tp,
                       p.pp,
                       p.virtual_stages > 1 ? fmt::format(" x {}", p.virtual_stages) : "",
                       trains(report) ? fmt::format(", dp {}", p.dp) : "",
                       report.batch.micro_batches);
  }
  return report.overlap == "none" ? text : fmt::format("{}, overlap {}", text, report.overlap);
}

std::string head(const WholeReport& report) {
  return wrapped(fmt::format("{}: {} {} step(s) of {} on {}, {} tokens a rank, context {}, seed {}",
                             report.scenario,
                             report.steps.size(),
                             report.kind,
                             report.model,
                             layout(report),
                             report.batch.tokens_per_rank,
                             report.batch.context_tokens,
                             report.seed)) +
         wrapped(fmt::format("evidence: {} ({})", to_text(report.grade), report.evidence_source));
}

std::string critical_path(const WholeReport& report, double total) {
  const std::vector<double> parts = mean_parts(report);
  std::vector<std::vector<std::string>> rows;
  for (std::size_t p = 0; p < num_parts(report); ++p) {
    if (parts[p] > 0) {
      rows.push_back({std::string(whole_part_name(static_cast<WholePart>(p))),
                      readable_time(parts[p]),
                      readable_share(parts[p] / total)});
    }
  }
  return table({has_stages(report) ? "time of a stage" : "critical path", "time", "share"}, rows);
}

std::string throughput_lines(const WholeReport& report, double mean_step) {
  const Throughput t = throughput_of(report);
  const StepShares shares = shares_of(report);
  std::string text = fmt::format("tokens/s: {} a rank, {} a node, {} in all\n",
                                 three_digits(t.per_rank),
                                 three_digits(t.per_node),
                                 three_digits(t.total));
  if (report.kind == "decode") {
    text += fmt::format("time per output token: {}\n", readable_time(mean_step));
  }
  text += fmt::format("model arithmetic: {} Tflop/s a GPU, {} of its bf16 peak (MFU)\n",
                      three_digits(t.flops_per_gpu / 1e12),
                      readable_share(t.mfu));
  if (shares.exposed_s > 0 || shares.communication_s > 0) {
    text += fmt::format("communication: {} exposed; a rank's exchanges take {}\n",
                        readable_time(shares.exposed_s),
                        readable_time(shares.communication_s));
  }
  if (report.parallel.pp > 1) {
    text += fmt::format("pipeline bubble: {} of the step\n",
                        readable_share(shares.bubble_s / mean_step));
  }
  return text;
}

Json parts_json(const WholeReport& report, const std::vector<double>& parts) {
  Json json;
  for (std::size_t p = 0; p < num_parts(report); ++p) {
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
                     {"communication_s", s(step.communication)},
                     {"flows", step.flows},
                     {"network_events", step.network_events},
                     {"critical_path", parts_json(report, parts)}});
  }
  return steps;
}

}  // namespace

Throughput throughput_of(const WholeReport& report) {
  const double step = step_times(report).mean;
  const auto gpus = static_cast<double>(report.gpus);
  const double tokens = static_cast<double>(report.batch.tokens_per_rank) * report.parallel.ep *
                        report.batch.micro_batches * report.parallel.dp;
  const double per_rank = tokens / step / gpus;
  const double rate = report.step_flops.value / step / gpus;
  return {.per_rank = per_rank,
          .per_node = per_rank * std::min<double>(report.gpus_per_node, gpus),
          .total = tokens / step,
          .flops_per_gpu = rate,
          .mfu = report.peak.value > 0 ? rate / report.peak.value : 0};
}

StepShares shares_of(const WholeReport& report) {
  const std::vector<double> parts = mean_parts(report);
  StepShares shares;
  for (std::size_t p = 0; p < kNumWholeParts; ++p) {
    shares.exposed_s += is_exposed_communication(static_cast<WholePart>(p)) ? parts[p] : 0;
  }
  for (const WholeStepResult& step : report.steps) {
    shares.communication_s += s(step.communication) / static_cast<double>(report.steps.size());
  }
  shares.bubble_s = parts[static_cast<std::size_t>(WholePart::kBubble)];
  return shares;
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
  text += joins_text(report.joins);
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
  const StepShares shares = shares_of(report);
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
                  {"critical_path", parts_json(report, mean_parts(report))},
                  {"exposed_communication_s", shares.exposed_s},
                  {"communication_s", shares.communication_s},
                  {"bubble_ratio", shares.bubble_s / times.mean},
                  {"gpus", report.gpus},
                  {"tokens_per_s_per_rank", rate.per_rank},
                  {"tokens_per_s_per_node", rate.per_node},
                  {"tokens_per_s", rate.total},
                  {"model_flops", report.step_flops.value},
                  {"model_flops_per_s_per_gpu", rate.flops_per_gpu},
                  {"mfu_ratio", rate.mfu}};
  Json json = {{"format", "moesim-whole-report"},
               {"format_version", 1},
               {"moesim_version", report.version},
               {"scenario", report.scenario},
               {"seed", report.seed},
               {"inputs", inputs},
               {"step_kind", report.kind},
               {"overlap", report.overlap},
               {"evidence", {{"grade", to_text(report.grade)}, {"source", report.evidence_source}}},
               {"notes", report.notes},
               {"joins", report.joins},
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
