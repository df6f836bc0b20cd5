// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/plan_points.hpp"

#include <fmt/format.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <utility>

#include "sim/cli/console.hpp"
#include "sim/cli/whole_run.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/scenario/assemble.hpp"
#include "sim/scenario/fields.hpp"
#include "sim/scenario/load_settings.hpp"
#include "sim/scenario/make_cluster.hpp"
#include "sim/scenario/memory_model.hpp"
#include "sim/scenario/toml_reader.hpp"
#include "sim/step/replay.hpp"
#include "sim/step/whole_bound.hpp"

namespace moesim::cli {
namespace {

/// --set and --seed as settings.
std::vector<ConfigEntry> settings_of(const std::vector<std::string>& overrides) {
  ConfigTree tree;
  std::vector<Diagnostic> mistakes;
  for (const std::string& text : overrides) {
    try {
      apply_override(tree, text);
    } catch (const UserError& error) {
      mistakes.insert(mistakes.end(), error.diagnostics().begin(), error.diagnostics().end());
    }
  }
  std::vector<ConfigEntry> settings;
  for (const ConfigEntry& entry : tree.entries()) {
    if (!entry.is_table()) {
      settings.push_back(entry);
      const std::vector<Diagnostic> wrong = setting_mistakes(entry);
      mistakes.insert(mistakes.end(), wrong.begin(), wrong.end());
    }
  }
  if (!mistakes.empty()) {
    throw UserError(std::move(mistakes));
  }
  return settings;
}

bool states(std::span<const ConfigEntry> settings, std::string_view key) {
  return std::any_of(settings.begin(), settings.end(), [&](const ConfigEntry& entry) {
    return entry.path == key;
  });
}

/// The fewest nodes that hold the ranks, in whole scale-up domains.
int fitting_nodes(const Scenario& s) {
  const std::int64_t per_node = std::max(1, s.cluster.gpus_per_node);
  const std::int64_t domain = std::max(1, s.cluster.scale_up.nodes_per_domain);
  const std::int64_t nodes =
      (std::max<std::int64_t>(1, s.parallel.gpus()) + per_node - 1) / per_node;
  return static_cast<int>((nodes + domain - 1) / domain * domain);
}

WholeShape shape_of(const Scenario& s) {
  return {.model = s.model,
          .compute = {s.cluster.gpu, s.calibration},
          .kind = s.step.kind,
          .parallel = s.parallel,
          .batch = s.batch,
          .kv_dtype = s.memory.kv_dtype,
          .dropless = s.capacity.policy == OverflowPolicy::kNone};
}

std::optional<DollarsPerHour> hourly_of(const MoneyReport& money, CostKind kind) {
  return kind == CostKind::kOwned ? money.running.owned : money.running.rented;
}

class Preparation {
 public:
  Preparation(const PlanFile& plan, const PrepareControl& control)
      : plan_(plan), control_(control), over_all_(settings_of(control.overrides)) {}

  PlanPoints run() {
    PlanPoints points;
    const std::vector<SweepChoice> choices = expand(plan_.study.study);
    points.keys = swept_keys(plan_.study.study);
    points.points.resize(choices.size());
    tbb::parallel_for(std::size_t{0}, choices.size(), [&](std::size_t i) {
      if (!interrupted()) {
        name(points.keys, choices[i], points.points[i]);
        prepare(choices[i], points.points[i]);
        report(static_cast<int>(choices.size()));
      }
    });
    if (interrupted()) {
      throw Cancelled();
    }
    check_demands(points);
    return points;
  }

 private:
  static void name(const std::vector<std::string>& keys,
                   const SweepChoice& choice,
                   PlanPoint& point) {
    for (const std::string& key : keys) {
      std::string text;
      for (const SweepSetting& setting : choice) {  // the last one wins
        text = setting.key == key ? to_text(setting.value) : text;
      }
      point.values.push_back(std::move(text));
    }
  }

  static void refuse(PlanPoint& point, std::string key, std::string message) {
    point.scenario.reset();
    point.key = std::move(key);
    point.refusal = std::move(message);
  }

  void prepare(const SweepChoice& choice, PlanPoint& point) {
    try {
      std::vector<ConfigEntry> settings;
      for (const SweepSetting& setting : choice) {
        settings.push_back(plan_.study.entries[setting.entry]);
      }
      settings.insert(settings.end(), over_all_.begin(), over_all_.end());
      point.scenario = load(std::move(settings));
      weigh(point);
    } catch (const UserError& error) {
      const Diagnostic& first = error.diagnostics().front();
      refuse(point, first.key, first.message);
    }
  }

  Scenario load(std::vector<ConfigEntry> settings) {
    if (plan_.search.fit_nodes && !states(settings, "cluster.nodes")) {
      const Scenario peeked = peek_scenario(plan_.study.scenario, settings, files_);
      settings.push_back({.path = "cluster.nodes",
                          .value = std::int64_t{fitting_nodes(peeked)},
                          .place = {"search.fit_nodes", 0, 0},
                          .value_column = 0,
                          .source_line = {}});
    }
    return load_scenario(plan_.study.scenario, settings, files_);
  }

  /// Memory, price, budget and bound.
  void weigh(PlanPoint& point) {
    const Scenario& s = *point.scenario;
    if (s.step.kind == StepKind::kTrain || s.step.kind == StepKind::kServing) {
      const std::string_view kind = step_kind_words()[static_cast<std::size_t>(s.step.kind)];
      refuse(point, "step.kind", fmt::format("{} is not known to plans", kind));
      return;
    }
    const MemoryModel memory = memory_model(s);
    check_memory(s);
    point.memory_share = largest_bill(memory).total() / memory.capacity;
    const Cluster cluster = make_cluster(s).cluster;
    const Equipment equipment = equipment_of(cluster, s.parallel.gpus());
    point.nodes = static_cast<int>(equipment.nodes);
    if (s.price.is_stated()) {
      point.money = money_report(s.price, cluster, s.parallel.gpus());
      if (over_budget(point)) {
        return;
      }
    }
    point.candidate.bound =
        score_of(s, point.money, plan_.search.cost, least_step_time(shape_of(s)));
    point.candidate.limits = limits(s);
  }

  bool over_budget(PlanPoint& point) {
    const PlanBudget& b = plan_.budget;
    const RunningCost& cost = point.money->running;
    const auto hourly = hourly_of(*point.money, plan_.search.cost);
    if (b.purchase.value > 0 && cost.purchase > b.purchase) {
      refuse(point,
             "limits.purchase",
             fmt::format("{} is more than {}",
                         readable_dollars(cost.purchase.value),
                         readable_dollars(b.purchase.value)));
    } else if (b.hourly.value > 0 && hourly && *hourly > b.hourly) {
      refuse(point,
             "limits.hourly",
             fmt::format("{}/h is more than {}/h",
                         readable_dollars(hourly->value),
                         readable_dollars(b.hourly.value)));
    } else if (b.power.value > 0 && cost.power > b.power) {
      refuse(point,
             "limits.power",
             fmt::format("{} is more than {}",
                         readable_power(cost.power.value),
                         readable_power(b.power.value)));
    }
    return !point.scenario.has_value();
  }

  [[nodiscard]] PlanLimits limits(const Scenario& s) const {
    const PlanBudget& b = plan_.budget;
    PlanLimits limits;
    const Seconds latency = s.step.kind == StepKind::kDecode ? b.tpot : b.ttft;
    limits.latency = latency.value > 0 ? latency.value : limits.latency;
    limits.cost = b.per_million.value > 0 ? b.per_million.value : limits.cost;
    limits.throughput =
        std::max(b.per_gpu, b.tokens_per_s / static_cast<double>(s.parallel.gpus()));
    return limits;
  }

  /// What the plan asks for must be there in every configuration that can run.
  void check_demands(const PlanPoints& points) const {
    const PlanBudget& b = plan_.budget;
    const bool by_cost =
        std::find(plan_.objectives.begin(), plan_.objectives.end(), PlanObjective::kCost) !=
            plan_.objectives.end() ||
        b.hourly.value > 0 || b.per_million.value > 0;
    const bool by_price = by_cost || b.purchase.value > 0 || b.power.value > 0;
    for (const PlanPoint& point : points.points) {
      if (!point.scenario) {
        continue;
      }
      if (by_price && !point.money) {
        demand("price", "missing, but the plan weighs costs, money or power");
      }
      if (by_cost && !hourly_of(*point.money, plan_.search.cost)) {
        const bool owned = plan_.search.cost == CostKind::kOwned;
        demand(owned ? "price.gpu_purchase" : "price.gpu_rent",
               fmt::format("0, but search.cost is {}", owned ? "owned" : "rented"));
      }
      const bool decode = point.scenario->step.kind == StepKind::kDecode;
      if ((decode ? b.ttft : b.tpot).value > 0) {
        demand(decode ? "limits.ttft" : "limits.tpot",
               fmt::format("a {} step has none", decode ? "decode" : "prefill"));
      }
    }
  }

  [[noreturn]] void demand(const char* key, std::string message) const {
    Diagnostic mistake;
    mistake.place.file = plan_.study.file.string();
    mistake.key = key;
    mistake.message = std::move(message);
    throw UserError({std::move(mistake)});
  }

  void report(int total) {
    const std::scoped_lock lock(mutex_);
    ++done_;
    if (control_.on_progress) {
      control_.on_progress(done_, total);
    }
  }

  const PlanFile& plan_;
  const PrepareControl& control_;
  std::vector<ConfigEntry> over_all_;
  ParsedFiles files_;
  std::mutex mutex_;
  int done_ = 0;
};

}  // namespace

PlanPoints prepare_plan(const PlanFile& plan, const PrepareControl& control) {
  return Preparation(plan, control).run();
}

PlanScore score_of(const Scenario& s,
                   const std::optional<MoneyReport>& money,
                   CostKind cost,
                   Seconds step) {
  const double total = s.batch.tokens_per_rank / step.value * s.parallel.ep;
  PlanScore score;
  score.throughput = total / static_cast<double>(s.parallel.gpus());
  score.latency = step.value;
  if (money) {
    if (const auto hourly = hourly_of(*money, cost)) {
      score.cost = per_million_tokens(money->price, *hourly, total).value;
    }
  }
  return score;
}

PlanRun simulate_plan_point(const Scenario& scenario, int first, int last) {
  Assembly assembly = assemble_whole(scenario);
  const WholeModel whole = whole_model(scenario, std::move(assembly.step));
  PlanRun run;
  run.notes = std::move(assembly.notes);
  WholeParts parts{};
  for (int step = first; step < last; ++step) {
    if (interrupted()) {
      throw Cancelled();
    }
    run.steps.push_back(simulate_whole_step(whole, step));
    for (std::size_t p = 0; p < parts.size(); ++p) {
      parts[p] += run.steps.back().parts[p];
    }
  }
  run.limit = limit_of(whole, parts);
  return run;
}

Seconds mean_step(std::span<const WholeStepResult> steps) {
  Seconds sum{};
  for (const WholeStepResult& step : steps) {
    sum += step.makespan.to_seconds();
  }
  return sum / static_cast<double>(steps.size());
}

}  // namespace moesim::cli
