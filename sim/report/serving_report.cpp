// SPDX-License-Identifier: Apache-2.0
#include "sim/report/serving_report.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "sim/report/seconds.hpp"

namespace moesim {
namespace {

std::optional<Distribution> distribution_or_none(std::vector<double> values) {
  return values.empty() ? std::nullopt : std::optional(distribution_of(std::move(values)));
}

/// Means over the time of the run.
void average_state(const ServingReport& report, ServingFigures& figures) {
  const double lasted = s(report.run.end);
  if (lasted <= 0) {
    return;
  }
  double kv = 0;
  for (const SeriesBin& bin : report.run.series) {
    figures.mean_waiting += bin.waiting_s / lasted;
    figures.mean_running += bin.running_s / lasted;
    kv += bin.kv_token_s / lasted;
  }
  const int groups = report.spec.groups * (report.parallel.ep / report.parallel.tp);
  const auto room = static_cast<double>(report.kv.tokens);
  figures.mean_kv = kv / (room * groups);
  figures.most_kv = static_cast<double>(report.run.most_kv_tokens) / room;
  figures.utilization = s(report.run.busy) / (lasted * report.spec.groups);
}

}  // namespace

RequestTimes times_of(const ServedRequest& r) {
  RequestTimes times{.queue = s(r.first_scheduled - r.arrival),
                     .ttft = s(r.first_token - r.arrival),
                     .latency = s(r.finished - r.arrival),
                     .tpot = std::nullopt};
  if (r.request.output_tokens > 1) {
    times.tpot = s(r.finished - r.first_token) / static_cast<double>(r.request.output_tokens - 1);
  }
  return times;
}

bool meets_slo(const ServedRequest& request, const RequestSpec& spec) {
  const RequestTimes times = times_of(request);
  return (spec.ttft_slo.value == 0 || times.ttft <= spec.ttft_slo.value) &&
         (spec.tpot_slo.value == 0 || !times.tpot || *times.tpot <= spec.tpot_slo.value);
}

ServingFigures figures_of(const ServingReport& report) {
  ServingFigures figures;
  std::vector<double> queue;
  std::vector<double> ttft;
  std::vector<double> tpot;
  std::vector<double> latency;
  double last = report.spec.warm_up.value;
  for (const ServedRequest& r : report.run.requests) {
    figures.rejected += r.rejected ? 1 : 0;
    figures.unfinished += !r.rejected && !r.done ? 1 : 0;
    if (!r.done) {
      continue;
    }
    if (s(r.arrival) < report.spec.warm_up.value) {
      ++figures.warm_up;
      continue;
    }
    const RequestTimes times = times_of(r);
    queue.push_back(times.queue);
    ttft.push_back(times.ttft);
    latency.push_back(times.latency);
    if (times.tpot) {
      tpot.push_back(*times.tpot);
    }
    ++figures.counted;
    figures.prompt_tokens += r.request.prompt_tokens;
    figures.output_tokens += r.request.output_tokens;
    if (meets_slo(r, report.spec)) {
      ++figures.met_slo;
      figures.good_tokens += r.request.prompt_tokens + r.request.output_tokens;
    }
    last = std::max(last, s(r.finished));
  }
  figures.queue = distribution_or_none(std::move(queue));
  figures.ttft = distribution_or_none(std::move(ttft));
  figures.tpot = distribution_or_none(std::move(tpot));
  figures.latency = distribution_or_none(std::move(latency));
  figures.duration_s = last - report.spec.warm_up.value;
  figures.step_mean_s =
      report.run.steps > 0 ? s(report.run.busy) / static_cast<double>(report.run.steps) : 0.0;
  average_state(report, figures);
  return figures;
}

bool has_slo(const RequestSpec& spec) {
  return spec.ttft_slo.value > 0 || spec.tpot_slo.value > 0;
}

ServedLoad served_load(const ServingReport& report, const ServingFigures& f) {
  const bool split = report.spec.policy == ServingPolicy::kDisaggregated;
  return {.seconds = f.duration_s,
          .requests = static_cast<double>(f.counted),
          .prompt_tokens = static_cast<double>(f.prompt_tokens),
          .output_tokens = static_cast<double>(f.output_tokens),
          .good_tokens = static_cast<double>(f.good_tokens),
          .busy = f.utilization,
          .prefill_share =
              split ? static_cast<double>(report.spec.prefill_groups) / report.spec.groups : 0};
}

std::optional<CheckErrors> errors_of(const std::vector<StepCheck>& checks) {
  if (checks.empty()) {
    return std::nullopt;
  }
  CheckErrors errors;
  std::vector<double> sizes;
  Seconds predicted;
  Seconds simulated;
  for (const StepCheck& check : checks) {
    sizes.push_back(std::abs(check.error()));
    errors.mean += check.error() / static_cast<double>(checks.size());
    predicted += check.predicted;
    simulated += check.simulated;
  }
  const Distribution d = distribution_of(std::move(sizes));
  errors.median = d.p50;
  errors.p90 = d.p90;
  errors.largest = d.max;
  errors.weighted = predicted / simulated - 1;
  return errors;
}

}  // namespace moesim
