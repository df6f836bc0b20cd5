// SPDX-License-Identifier: Apache-2.0
// The result of `moesim plan` as values, and as text, JSON, CSV and a picture.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "sim/report/money_report.hpp"
#include "sim/report/run_report.hpp"
#include "sim/step/layout.hpp"
#include "sim/step/whole_limit.hpp"
#include "sim/study/plan_search.hpp"

namespace moesim {

/// What requests met in a configuration of serving.
struct PlanServed {
  ServedLoad load;
  double ttft_p95 = 0;
  double tpot_p95 = 0;
  double slo_ratio = 0;  ///< of all requests that were counted or rejected
  double kv_most = 0;    ///< of any attention group's cache
};

/// What the latency of a plan is: that of a step, the P95 of the time to the first token, or the
/// time of a training run.
enum class PlanLatency : std::uint8_t { kStep, kFirstToken, kRun };

/// One configuration.
struct PlanRow {
  std::vector<std::string> values;  ///< of the varied keys, in their order
  PlanOutcome outcome;
  PlanScore bound;
  int gpus = 0;  ///< ranks
  int nodes = 0;
  double memory_share = 0;              ///< of the GPU's memory that a rank holds
  std::optional<MoneyReport> money;     ///< with a price list
  std::optional<WholeLimit> limit;      ///< of a whole simulation of steps
  std::optional<PlanServed> served;     ///< of one of serving
  Evidence grade = Evidence::kAssumed;  ///< of a whole simulation
  std::string refusal;                  ///< why it was not looked at: key and message
};

/// Configurations refused for the same key.
struct PlanRefusal {
  std::string reason;
  std::size_t count = 0;
  std::string example;  ///< the message of the first
};

/// What a change of one input does to the choice.
struct PlanSwing {
  std::string knob;
  double low = 0;   ///< objective at 1 - vary
  double high = 0;  ///< at 1 + vary
};

/// A change that makes the alternative as good as the choice.
struct PlanThreshold {
  std::string knob;
  std::string side;              ///< "choice" or "alternative": whose input it is
  std::optional<double> factor;  ///< none: not up to `tried`
  double tried = 0;              ///< the furthest factor looked at
};

struct PlanReport {
  std::string version;
  std::string plan;      ///< file as the user named it
  std::string scenario;  ///< the template
  std::vector<InputDigest> inputs;
  std::vector<std::string> keys;  ///< varied
  std::string kind;               ///< "prefill", "decode", "train" or "serving"
  PlanLatency latency = PlanLatency::kStep;
  std::string model;
  std::string method;
  std::string cost;  ///< "owned" or "rented"
  std::vector<PlanObjective> objectives;
  PlanObjective choose = PlanObjective::kCost;
  std::vector<std::string> limits;  ///< a sentence each
  int steps = 1;
  std::vector<PlanRow> rows;
  std::vector<std::size_t> front;          ///< rows, best of `choose` first
  std::optional<std::size_t> alternative;  ///< row that the choice (front[0]) is compared with
  std::vector<PlanRefusal> refusals;       ///< most frequent first
  double vary = 0;
  std::vector<PlanSwing> swings;  ///< widest first
  std::vector<PlanThreshold> thresholds;
  std::vector<std::string> evidence;  ///< what the choice rests on, a sentence each
  std::vector<std::string> notes;
  std::string resolved_choice;  ///< the scenario of the choice as TOML, "" without one
  bool interrupted = false;
};

[[nodiscard]] std::string_view objective_name(PlanObjective objective);  ///< "throughput", ...
[[nodiscard]] std::string_view state_name(PlanState state);
/// The value of one objective in its own direction.
[[nodiscard]] double value_of(const PlanScore& score, PlanObjective objective);
/// "16.2 ms", "0.45 USD"; of a run "12.3 days".
[[nodiscard]] std::string readable(double value, PlanObjective objective, PlanLatency latency);
[[nodiscard]] std::string readable_latency(double seconds, PlanLatency latency);
/// "step", "ttft_p95", "run".
[[nodiscard]] std::string_view latency_name(PlanLatency latency);

[[nodiscard]] std::string plan_text(const PlanReport& report);
[[nodiscard]] std::string plan_json(const PlanReport& report);
/// One row a configuration.
[[nodiscard]] std::string plan_csv(const PlanReport& report);
/// Latency against throughput of every simulated configuration, the front joined; "" when none was
/// simulated.
[[nodiscard]] std::string plan_svg(const PlanReport& report);

}  // namespace moesim
