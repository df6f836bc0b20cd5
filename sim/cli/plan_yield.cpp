// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/plan_yield.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "sim/cli/console.hpp"
#include "sim/cli/serving_run.hpp"
#include "sim/cli/whole_run.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/scenario/assemble.hpp"
#include "sim/step/replay.hpp"
#include "sim/step/traffic_bound.hpp"

namespace moesim::cli {
namespace {

PlanServed served_of(const ServingReport& report) {
  const ServingFigures f = figures_of(report);
  const auto offered = static_cast<double>(f.counted + f.rejected);
  PlanServed served;
  served.load = served_load(report, f);
  served.ttft_p95 = f.ttft ? f.ttft->p95 : 0;
  served.tpot_p95 = f.tpot ? f.tpot->p95 : 0;
  served.slo_ratio = offered > 0 ? static_cast<double>(f.met_slo) / offered : 0;
  served.kv_most = f.most_kv;
  return served;
}

PlanRun serve_plan_point(const Scenario& scenario) {
  Scenario unchecked = scenario;
  unchecked.requests.check_steps = 0;  // the choice is run by itself to see them
  const ServingReport report =
      simulate_serving("a configuration of a plan", unchecked, {.threads = 0, .progress = false});
  if (interrupted()) {
    throw Cancelled();
  }
  PlanRun run;
  run.notes = report.notes;
  run.yield.served = served_of(report);
  run.yield.latency = {run.yield.served->ttft_p95};
  const ServedLoad& load = run.yield.served->load;
  run.yield.tokens_per_s = load.seconds > 0 ? load.good_tokens / load.seconds : 0;
  return run;
}

/// What the passes of a training step depend on: all but what schedules them and prices them.
std::string pass_key(const Scenario& scenario, int step) {
  Scenario same = scenario;
  same.parallel.dp = 1;
  same.batch.micro_batches = 1;
  same.batch.steps = 1;
  same.memory = MemorySpec{};
  same.memory.recompute = scenario.memory.recompute;
  same.memory.gradient_dtype = scenario.memory.gradient_dtype;
  same.step.overlap_gradients = true;
  same.price = PriceSpec{};
  return fmt::format("{} {}", step, resolved_toml(same));
}

WholeStepResult train_step(const Scenario& scenario,
                           const WholeModel& whole,
                           int step,
                           PlanCache& cache) {
  const auto passes = cache.passes(scenario, step, [&] {
    return simulate_train_passes(whole, step, {.cancelled = &interrupted(), .on_pass = {}});
  });
  return schedule_train_step(whole, step, *passes);
}

}  // namespace

std::shared_ptr<const TrainPasses> PlanCache::passes(const Scenario& scenario,
                                                     int step,
                                                     const std::function<TrainPasses()>& simulate) {
  std::shared_ptr<Kept> kept;
  {
    const std::scoped_lock lock(mutex_);
    std::shared_ptr<Kept>& known = kept_[pass_key(scenario, step)];
    known = known == nullptr ? std::make_shared<Kept>() : known;
    kept = known;
  }
  tbb::collaborative_call_once(kept->once, [&] { kept->passes = simulate(); });
  return {kept, &kept->passes};
}

void PlanCache::keep(const Scenario& scenario, int step, PreparedStep prepared) {
  const std::scoped_lock lock(mutex_);
  if (steps_.size() >= 2 * kPlanWave) {
    steps_.pop_front();
  }
  steps_.push_back({&scenario, step, std::move(prepared)});
}

std::optional<PreparedStep> PlanCache::take(const Scenario& scenario, int step) {
  const std::scoped_lock lock(mutex_);
  const auto found = std::find_if(steps_.begin(), steps_.end(), [&](const KeptStep& kept) {
    return kept.of == &scenario && kept.step == step;
  });
  if (found == steps_.end()) {
    return std::nullopt;
  }
  std::optional<PreparedStep> prepared(std::move(found->prepared));
  steps_.erase(found);
  return prepared;
}

std::int64_t gpus_of(const Scenario& s) {
  return s.step.kind == StepKind::kServing ? std::int64_t{s.requests.groups} * s.parallel.ep
                                           : s.parallel.gpus();
}

PlanYield yield_of_step(const Scenario& s, Seconds step) {
  const double copies = static_cast<double>(s.batch.micro_batches) * s.parallel.dp;
  return {.latency = step,
          .tokens_per_s = s.batch.tokens_per_rank / step.value * s.parallel.ep * copies};
}

MoneyReport money_of(const Scenario& s,
                     const Cluster& cluster,
                     const std::optional<PlanServed>& served) {
  const bool serves = s.step.kind == StepKind::kServing;
  return money_report(serves ? serving_prices(s.price, served ? served->load.busy : 0) : s.price,
                      cluster,
                      gpus_of(s));
}

MoneyReport at_busy_share(MoneyReport money, const PriceSpec& price, double busy) {
  money.price = serving_prices(price, busy);
  money.running = running_cost(money.price, money.equipment);
  return money;
}

std::optional<DollarsPerHour> hourly_of(const MoneyReport& money, CostKind kind) {
  return kind == CostKind::kOwned ? money.running.owned : money.running.rented;
}

PlanScore score_of(const Scenario& s,
                   const std::optional<MoneyReport>& money,
                   CostKind cost,
                   const PlanYield& yield) {
  PlanScore score;
  score.throughput = yield.tokens_per_s / static_cast<double>(gpus_of(s));
  score.latency = yield.latency.value;
  if (s.step.kind == StepKind::kTrain && money && s.price.training_tokens > 0) {
    score.latency =
        cost_of_run(s.price, money->running, yield.tokens_per_s).hours * kSecondsPerHour;
  }
  const auto hourly = money ? hourly_of(*money, cost) : std::nullopt;
  if (hourly && yield.tokens_per_s <= 0) {
    score.cost = std::numeric_limits<double>::infinity();
  } else if (hourly) {
    PriceSpec price = money->price;
    price.utilisation = s.step.kind == StepKind::kServing ? 1 : price.utilisation;
    score.cost = per_million_tokens(price, *hourly, yield.tokens_per_s).value;
  }
  return score;
}

PlanRun simulate_plan_point(const Scenario& scenario, int first, int last, PlanCache& cache) {
  if (scenario.step.kind == StepKind::kServing) {
    return serve_plan_point(scenario);
  }
  Assembly assembly = assemble_whole(scenario, &cache.assemblies());
  const WholeModel whole = whole_model(scenario, std::move(assembly.step));
  PlanRun run;
  run.notes = std::move(assembly.notes);
  WholeParts parts{};
  for (int step = first; step < last; ++step) {
    if (interrupted()) {
      throw Cancelled();
    }
    if (whole.kind == StepKind::kTrain) {
      run.steps.push_back(train_step(scenario, whole, step, cache));
    } else if (const std::optional<PreparedStep> prepared = cache.take(scenario, step)) {
      run.steps.push_back(simulate_prepared_step(whole, step, *prepared));
    } else {
      run.steps.push_back(simulate_whole_step(whole, step));
    }
    for (std::size_t p = 0; p < parts.size(); ++p) {
      parts[p] += run.steps.back().parts[p];
    }
  }
  run.limit = limit_of(whole, parts);
  run.yield = yield_of_step(scenario, mean_step(run.steps));
  return run;
}

std::optional<Seconds> least_mean_step(const Scenario& scenario, PlanCache& cache) {
  const StepKind kind = scenario.step.kind;
  if (kind == StepKind::kServing) {
    return std::nullopt;
  }
  try {
    Assembly assembly = assemble_whole(scenario, &cache.assemblies());  // owns the routing
    const WholeModel whole = whole_model(scenario, std::move(assembly.step));
    if (kind == StepKind::kTrain) {
      return least_training_time(whole);
    }
    Seconds sum{};
    for (int step = 0; step < scenario.batch.steps; ++step) {
      if (interrupted()) {
        throw Cancelled();
      }
      PreparedStep prepared = prepare_whole_step(whole, step);
      sum += least_traffic_time(whole, prepared);
      cache.keep(scenario, step, std::move(prepared));
    }
    return sum / static_cast<double>(scenario.batch.steps);
  } catch (const UserError&) {
    return std::nullopt;  // the simulation says it again
  }
}

Seconds mean_step(std::span<const WholeStepResult> steps) {
  Seconds sum{};
  for (const WholeStepResult& step : steps) {
    sum += step.makespan.to_seconds();
  }
  return sum / static_cast<double>(steps.size());
}

}  // namespace moesim::cli
