// SPDX-License-Identifier: Apache-2.0
// A serving run as text, JSON and CSV, with the figures derived from its requests.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/report/money_report.hpp"
#include "sim/report/run_report.hpp"
#include "sim/step/serving/kv_space.hpp"
#include "sim/step/serving/serve.hpp"
#include "sim/step/serving/step_check.hpp"

namespace moesim {

struct ServingReport {
  std::string version;
  std::string scenario;
  std::string resolved;
  std::uint64_t seed = 0;
  std::vector<InputDigest> inputs;
  std::vector<std::string> notes;
  std::vector<std::string> faults;
  Evidence grade = Evidence::kAssumed;
  std::string evidence_source;
  std::string model;
  std::string policy;  ///< word of requests.policy
  ParallelSpec parallel;
  RequestSpec spec;
  std::string arrivals;  ///< where they come from
  std::string routing;   ///< where each request's routing comes from; "" in a dense model
  KvSpace kv;
  int surface_points = 0;
  ServingRun run;
  std::vector<StepCheck> checks;
  std::optional<MoneyReport> money = {};  ///< with a price list, at the run's own busy share

  [[nodiscard]] int gpus() const { return spec.groups * parallel.ep; }
};

/// Seconds of one request.
struct RequestTimes {
  double queue = 0;            ///< arrival to the first step that takes a token of it
  double ttft = 0;             ///< arrival to the first output token
  double latency = 0;          ///< arrival to the last
  std::optional<double> tpot;  ///< (last - first) / (output tokens - 1); none with one token
};
[[nodiscard]] RequestTimes times_of(const ServedRequest& request);
/// Of a request that is done: within those SLOs that are set. Without a second token TPOT is met.
[[nodiscard]] bool meets_slo(const ServedRequest& request, const RequestSpec& spec);

/// Over the requests that arrived at warm_up or later and are done.
struct ServingFigures {
  std::int64_t counted = 0;
  std::int64_t warm_up = 0;  ///< arrived before it
  std::int64_t rejected = 0;
  std::int64_t unfinished = 0;  ///< of a run that was interrupted
  std::optional<Distribution> queue;
  std::optional<Distribution> ttft;
  std::optional<Distribution> tpot;
  std::optional<Distribution> latency;
  double duration_s = 0;  ///< from the end of the warm-up to the last token of a counted request
  std::int64_t prompt_tokens = 0;
  std::int64_t output_tokens = 0;
  std::int64_t met_slo = 0;
  std::int64_t good_tokens = 0;  ///< prompts and outputs of those that met it
  double utilization = 0;        ///< part of the run that an EP group spends in steps
  double step_mean_s = 0;
  double mean_waiting = 0;  ///< requests in queues, over the run
  double mean_running = 0;
  double mean_kv = 0;  ///< part of the cache taken, over the run
  double most_kv = 0;  ///< of any attention group

  [[nodiscard]] double per_second(double count) const {
    return duration_s > 0 ? count / duration_s : 0.0;
  }
};
[[nodiscard]] ServingFigures figures_of(const ServingReport& report);
[[nodiscard]] bool has_slo(const RequestSpec& spec);
/// What the counted stretch yielded for its money.
[[nodiscard]] ServedLoad served_load(const ServingReport& report, const ServingFigures& figures);

/// A row of series.csv: counts, and means over the interval.
struct SeriesRow {
  double start_s = 0;
  double seconds = 0;  ///< the last interval may be shorter
  std::int64_t arrivals = 0;
  std::int64_t finished = 0;
  double waiting = 0;
  double running = 0;
  double kv_ratio = 0;
  double busy_ratio = 0;
  std::int64_t steps = 0;
  std::int64_t prefill_tokens = 0;
  std::int64_t output_tokens = 0;
};
[[nodiscard]] std::vector<SeriesRow> series_rows(const ServingReport& report);

/// Of predicted / simulated - 1 over the checked steps.
struct CheckErrors {
  double median = 0;  ///< absolute
  double p90 = 0;
  double largest = 0;
  double mean = 0;      ///< signed: the bias
  double weighted = 0;  ///< sum of predicted / sum of simulated - 1
};
/// nullopt without checks.
[[nodiscard]] std::optional<CheckErrors> errors_of(const std::vector<StepCheck>& checks);

[[nodiscard]] std::string serving_text(const ServingReport& report);
[[nodiscard]] std::string serving_json(const ServingReport& report);
/// A row a request, in order of arrival.
[[nodiscard]] std::string requests_csv(const ServingReport& report);
/// A row an interval.
[[nodiscard]] std::string series_csv(const ServingReport& report);

}  // namespace moesim
