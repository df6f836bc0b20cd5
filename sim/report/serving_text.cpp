// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include "sim/report/serving_report.hpp"
#include "sim/report/table.hpp"

namespace moesim {
namespace {

using Row = std::vector<std::string>;

std::string head(const ServingReport& report) {
  const RequestSpec& spec = report.spec;
  const std::string groups = spec.policy == ServingPolicy::kDisaggregated
                                 ? fmt::format("{} EP group(s) that prefill, {} that decode",
                                               spec.prefill_groups,
                                               spec.groups - spec.prefill_groups)
                                 : fmt::format("{} EP group(s)", spec.groups);
  std::string text = wrapped(fmt::format(
      "{}: {} requests served {} by {} on {} GPUs: {}, ep {}, tp {}; at most {} tokens and {} "
      "requests an attention group, seed {}",
      report.scenario,
      report.run.requests.size(),
      report.policy,
      report.model,
      report.gpus(),
      groups,
      report.parallel.ep,
      report.parallel.tp,
      spec.max_batch_tokens,
      spec.max_sequences,
      report.seed));
  text += wrapped("arrivals: " + report.arrivals);
  if (!report.routing.empty()) {
    text += wrapped("routing: " + report.routing);
    text +=
        wrapped("a join of independent traces: arrivals and routing were not observed together");
  }
  text += wrapped(fmt::format("evidence: {} ({})", to_text(report.grade), report.evidence_source));
  return text;
}

Row time_row(std::string name, const std::optional<Distribution>& d) {
  if (!d) {
    return {std::move(name), "-", "-", "-", "-", "-"};
  }
  return {std::move(name),
          readable_time(d->mean),
          readable_time(d->p50),
          readable_time(d->p95),
          readable_time(d->p99),
          readable_time(d->max)};
}

std::string counted_line(const ServingReport& report, const ServingFigures& f) {
  std::string text = fmt::format("{} requests counted", f.counted);
  text +=
      f.warm_up > 0
          ? fmt::format(", {} of the warm-up ({:g} s) not", f.warm_up, report.spec.warm_up.value)
          : "; no warm-up: the system starts empty, and is counted from there";
  text += f.rejected > 0
              ? fmt::format("; {} rejected: too long for the cache or the batch", f.rejected)
              : "";
  text += f.unfinished > 0 ? fmt::format("; {} not done when interrupted", f.unfinished) : "";
  return wrapped(text);
}

std::string rates(const ServingReport& report, const ServingFigures& f) {
  const auto row = [&](const char* name, double count) {
    const double rate = f.per_second(count);
    return Row{name, three_digits(rate), three_digits(rate / report.gpus())};
  };
  std::vector<Row> rows = {row("requests", static_cast<double>(f.counted)),
                           row("prompt tokens", static_cast<double>(f.prompt_tokens)),
                           row("output tokens", static_cast<double>(f.output_tokens))};
  const RequestSpec& spec = report.spec;
  std::string text;
  if (has_slo(spec)) {
    rows.push_back(row("requests within SLO", static_cast<double>(f.met_slo)));
    std::string slo;
    slo += spec.ttft_slo.value > 0 ? "TTFT " + readable_time(spec.ttft_slo.value) : "";
    slo += spec.ttft_slo.value > 0 && spec.tpot_slo.value > 0 ? ", " : "";
    slo += spec.tpot_slo.value > 0 ? "TPOT " + readable_time(spec.tpot_slo.value) : "";
    const double share =
        f.counted > 0 ? static_cast<double>(f.met_slo) / static_cast<double>(f.counted) : 0.0;
    text =
        fmt::format("goodput: {} of the requests meet the SLO ({})\n", readable_share(share), slo);
  }
  return table({"throughput", "a second", "a GPU"}, rows) + text;
}

std::string system_lines(const ServingReport& report, const ServingFigures& f) {
  const ServingRun& run = report.run;
  std::string text = wrapped(
      fmt::format("steps: {} ({} with prompts), {} on the mean; an EP group is busy {} of the time",
                  run.steps,
                  run.prefill_steps,
                  readable_time(f.step_mean_s),
                  readable_share(f.utilization)));
  text += wrapped(fmt::format(
      "on the mean over time {} requests wait and {} run; KV cache {} full, at most {} of an "
      "attention group's {} tokens; {} preemption(s)",
      three_digits(f.mean_waiting),
      three_digits(f.mean_running),
      readable_share(f.mean_kv),
      readable_share(f.most_kv),
      report.kv.tokens,
      run.preemptions));
  if (report.spec.prefix_cache) {
    text += wrapped(fmt::format(
        "prefix caches had {} of the prompts' tokens; {} blocks dropped for want of room",
        readable_share(run.admitted_tokens > 0 ? static_cast<double>(run.prefix_hits) /
                                                     static_cast<double>(run.admitted_tokens)
                                               : 0.0),
        run.dropped_blocks));
  }
  if (run.moves > 0) {
    text += fmt::format("{} caches moved from prefill to decode\n", run.moves);
  }
  return text;
}

std::string shortcut_lines(const ServingReport& report) {
  const std::optional<CheckErrors> errors = errors_of(report.checks);
  const std::string head = fmt::format(
      "step times: attention in closed form, the layers' rest from a surface of {} simulated "
      "points",
      report.surface_points);
  if (!errors) {
    return wrapped(head + "; not checked (requests.check_steps = 0, or interrupted)");
  }
  return wrapped(
      head + fmt::format(
                 "; against {} steps of this run simulated in full, their error is {} (median), {} "
                 "(P90), {} (largest), {:+.1f} % over all of them",
                 report.checks.size(),
                 readable_share(errors->median),
                 readable_share(errors->p90),
                 readable_share(errors->largest),
                 100 * errors->weighted));
}

}  // namespace

std::string serving_text(const ServingReport& report) {
  const ServingFigures f = figures_of(report);
  std::string text = head(report) + "\n" + counted_line(report, f) + "\n" +
                     table({"", "mean", "P50", "P95", "P99", "max"},
                           {time_row("TTFT", f.ttft),
                            time_row("TPOT", f.tpot),
                            time_row("latency", f.latency),
                            time_row("queue", f.queue)}) +
                     "\n" + rates(report, f) + "\n" + system_lines(report, f) +
                     shortcut_lines(report);
  if (report.money) {
    text += "\n";
    text += serving_money_text(*report.money, served_load(report, f), has_slo(report.spec));
  }
  for (const std::string& note : report.notes) {
    text += wrapped("note: " + note);
  }
  for (const std::string& fault : report.faults) {
    text += wrapped("fault: " + fault);
  }
  return text;
}

}  // namespace moesim
