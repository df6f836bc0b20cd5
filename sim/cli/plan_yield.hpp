// SPDX-License-Identifier: Apache-2.0
// One configuration of a plan simulated, and what it yields for its money.
#pragma once

#include <tbb/collaborative_call_once.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sim/report/money_report.hpp"
#include "sim/report/plan_report.hpp"
#include "sim/scenario/assembly_cache.hpp"
#include "sim/scenario/plan_file.hpp"
#include "sim/step/train_step.hpp"
#include "sim/step/whole_limit.hpp"
#include "sim/study/plan_search.hpp"

namespace moesim::cli {

/// What a simulation yields, before prices.
struct PlanYield {
  Seconds latency;          ///< mean step; serving: P95 of TTFT
  double tokens_per_s = 0;  ///< of the layout while steps run; serving: within the SLO, at any time
  std::optional<PlanServed> served = {};
};

/// Of steps that take `step` on the mean.
[[nodiscard]] PlanYield yield_of_step(const Scenario& scenario, Seconds step);

/// GPUs of a layout: ranks of all its groups, stages and copies.
[[nodiscard]] std::int64_t gpus_of(const Scenario& scenario);

/// What the hardware costs, at the run's own busy share in serving (a yield of none: idle).
[[nodiscard]] MoneyReport money_of(const Scenario& scenario,
                                   const Cluster& cluster,
                                   const std::optional<PlanServed>& served);

/// The same hardware, busy for that share of the time.
[[nodiscard]] MoneyReport at_busy_share(MoneyReport money, const PriceSpec& price, double busy);

[[nodiscard]] std::optional<DollarsPerHour> hourly_of(const MoneyReport& money, CostKind kind);

/// Tokens/s a GPU; latency (training with price.training_tokens: of that run); cost of a million
/// tokens, 0 without prices, infinite when nothing is within the SLO.
[[nodiscard]] PlanScore score_of(const Scenario& scenario,
                                 const std::optional<MoneyReport>& money,
                                 CostKind cost,
                                 const PlanYield& yield);

/// What configurations share; none of it changes a result. From any thread.
class PlanCache {
 public:
  [[nodiscard]] AssemblyCache& assemblies() { return assemblies_; }
  /// The passes of a training step, simulated once for all scenarios that have the same ones.
  [[nodiscard]] std::shared_ptr<const TrainPasses> passes(
      const Scenario& scenario, int step, const std::function<TrainPasses()>& simulate);

  /// Keeps what a bound has prepared of a step for its simulation; the last few, the oldest go.
  void keep(const Scenario& scenario, int step, PreparedStep prepared);
  /// What was kept of it, once.
  [[nodiscard]] std::optional<PreparedStep> take(const Scenario& scenario, int step);

 private:
  struct Kept {
    tbb::collaborative_once_flag once;
    TrainPasses passes;
  };
  struct KeptStep {
    const Scenario* of = nullptr;
    int step = 0;
    PreparedStep prepared;
  };
  AssemblyCache assemblies_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Kept>> kept_;
  std::deque<KeptStep> steps_;
};

/// Steps [first, last) of a scenario, or all of its requests.
struct PlanRun {
  std::vector<WholeStepResult> steps;  ///< none of serving
  PlanYield yield;                     ///< of these
  std::optional<WholeLimit> limit;     ///< of these steps together; none of serving
  std::vector<std::string> notes;      ///< what a reader of them must know
};
/// Throws Cancelled once interrupted() is set, and UserError.
[[nodiscard]] PlanRun simulate_plan_point(const Scenario& scenario,
                                          int first,
                                          int last,
                                          PlanCache& cache);

/// The least mean step of a scenario from its traffic (traffic_bound.hpp); none of serving, and
/// where the scenario is refused. Throws Cancelled once interrupted() is set.
[[nodiscard]] std::optional<Seconds> least_mean_step(const Scenario& scenario, PlanCache& cache);

[[nodiscard]] Seconds mean_step(std::span<const WholeStepResult> steps);

}  // namespace moesim::cli
