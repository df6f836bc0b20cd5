// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/plan_points.hpp"

#include <fmt/core.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <utility>

#include "sim/cli/console.hpp"
#include "sim/cli/plan_yield.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/report/serving_report.hpp"
#include "sim/scenario/fields.hpp"
#include "sim/scenario/load_settings.hpp"
#include "sim/scenario/make_cluster.hpp"
#include "sim/scenario/memory_model.hpp"
#include "sim/scenario/serving_model.hpp"
#include "sim/scenario/toml_reader.hpp"
#include "sim/step/replay.hpp"
#include "sim/step/whole_bound.hpp"

namespace moesim::cli {
namespace {

constexpr double kHoursPerDay = 24;
constexpr double kMillion = 1e6;

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
  const std::int64_t nodes = (std::max<std::int64_t>(1, gpus_of(s)) + per_node - 1) / per_node;
  return static_cast<int>((nodes + domain - 1) / domain * domain);
}

WholeShape shape_of(const Scenario& s) {
  return {.model = s.model,
          .compute = {s.cluster.gpu, s.calibration},
          .kind = s.step.kind,
          .parallel = s.parallel,
          .batch = s.batch,
          .kv_dtype = s.memory.kv_dtype,
          .dropless = s.capacity.policy == OverflowPolicy::kNone,
          .overlap = s.step.overlap,
          .recompute = s.memory.recompute,
          .schedule = s.step.schedule};
}

std::string kind_of(const Scenario& s) {
  return std::string(step_kind_words()[static_cast<std::size_t>(s.step.kind)]);
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
    if (s.step.kind == StepKind::kMoeLayers) {
      refuse(point, "step.kind", "moe_layers are no whole model");
      return;
    }
    const PlanYield most = most_yield(point);
    const Cluster cluster = make_cluster(s).cluster;
    point.nodes = static_cast<int>(equipment_of(cluster, gpus_of(s)).nodes);
    if (s.price.is_stated()) {
      point.money = money_of(s, cluster, std::nullopt);
      if (over_budget(point)) {
        return;
      }
    }
    point.candidate.bound = score_of(s, point.money, plan_.search.cost, most);
    point.candidate.limits = limits(s);
  }

  /// What no simulation of the configuration exceeds. Checks and notes its memory.
  static PlanYield most_yield(PlanPoint& point) {
    const Scenario& s = *point.scenario;
    if (s.step.kind == StepKind::kServing) {
      const ServingLimits limits = serving_limits(s);
      point.memory_share = limits.memory_ratio;
      return {.latency = {}, .tokens_per_s = limits.most_tokens_per_s, .served = {}};
    }
    const MemoryModel memory = memory_model(s);
    check_memory(s);
    point.memory_share = largest_bill(memory).total() / memory.capacity;
    return yield_of_step(s, least_step_time(shape_of(s)));
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
    const auto at_most = [](double& limit, double value) {
      limit = value > 0 ? std::min(limit, value) : limit;
    };
    at_most(limits.latency, (s.step.kind == StepKind::kDecode ? b.tpot : b.ttft).value);
    at_most(limits.cost, b.per_million.value);
    if (s.step.kind == StepKind::kTrain && s.price.training_tokens > 0) {
      limits.latency = PlanLimits{}.latency;
      at_most(limits.latency, b.days * kHoursPerDay * kSecondsPerHour);
      at_most(limits.cost, b.run_cost.value / s.price.training_tokens * kMillion);
    }
    limits.throughput = std::max(b.per_gpu, b.tokens_per_s / static_cast<double>(gpus_of(s)));
    return limits;
  }

  /// What the plan asks for must be there in every configuration that can run.
  void check_demands(const PlanPoints& points) const {
    const StepKind* kind = nullptr;
    for (const PlanPoint& point : points.points) {
      if (!point.scenario) {
        continue;
      }
      const Scenario& s = *point.scenario;
      if (kind != nullptr && *kind != s.step.kind) {
        demand("step.kind", "configurations of several kinds cannot be compared");
      }
      kind = &s.step.kind;
      check_prices(point);
      check_limits(s);
    }
  }

  void check_prices(const PlanPoint& point) const {
    const PlanBudget& b = plan_.budget;
    const bool by_cost =
        std::find(plan_.objectives.begin(), plan_.objectives.end(), PlanObjective::kCost) !=
            plan_.objectives.end() ||
        b.hourly.value > 0 || b.per_million.value > 0 || b.run_cost.value > 0;
    if ((by_cost || b.purchase.value > 0 || b.power.value > 0) && !point.money) {
      demand("price", "missing, but the plan weighs costs, money or power");
    }
    if (by_cost && !hourly_of(*point.money, plan_.search.cost)) {
      const bool owned = plan_.search.cost == CostKind::kOwned;
      demand(owned ? "price.gpu_purchase" : "price.gpu_rent",
             fmt::format("0, but search.cost is {}", owned ? "owned" : "rented"));
    }
  }

  /// Limits are of kinds of steps.
  void check_limits(const Scenario& s) const {
    const PlanBudget& b = plan_.budget;
    const StepKind kind = s.step.kind;
    const bool serves = kind == StepKind::kServing;
    const bool trains = kind == StepKind::kTrain;
    const auto only = [&](bool stated, bool has, const char* key) {
      if (stated && !has) {
        demand(key, fmt::format("a {} step has none", kind_of(s)));
      }
    };
    only(b.ttft.value > 0, serves || kind == StepKind::kPrefill, "limits.ttft");
    only(b.tpot.value > 0, serves || kind == StepKind::kDecode, "limits.tpot");
    only(b.days > 0, trains, "limits.days");
    only(b.run_cost.value > 0, trains, "limits.run_cost");
    only(b.slo_ratio > 0, serves, "limits.slo_ratio");
    if ((b.days > 0 || b.run_cost.value > 0) && s.price.training_tokens <= 0) {
      demand("price.training_tokens", "0, but the plan limits the days or the cost of the run");
    }
    if (b.slo_ratio > 0 && !has_slo(s.requests)) {
      demand("requests.ttft_slo",
             "neither it nor requests.tpot_slo is set, but limits.slo_ratio asks for a share of "
             "the requests");
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

}  // namespace moesim::cli
