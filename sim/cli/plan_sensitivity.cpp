// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/plan_sensitivity.hpp"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <cmath>
#include <mutex>

#include "sim/scenario/make_cluster.hpp"

namespace moesim::cli {
namespace {

/// One input; `apply` scales it.
struct Knob {
  std::string name;
  bool price = false;  ///< changes the cost alone
  std::function<void(Scenario&, double)> apply;
};

bool has_scale_out(const Scenario& s) {
  return s.cluster.graphml.empty() && s.cluster.nic.per_node > 0 &&
         gpus_of(s) > std::int64_t{s.cluster.scale_up.nodes_per_domain} * s.cluster.gpus_per_node;
}

std::vector<Knob> physics_knobs(const Scenario& s) {
  std::vector<Knob> knobs;
  if (has_scale_out(s)) {
    knobs.push_back({"scale-out bandwidth", false, [](Scenario& c, double f) {
                       c.cluster.nic.bandwidth = c.cluster.nic.bandwidth * f;
                       c.cluster.fabric.link_bandwidth = c.cluster.fabric.link_bandwidth * f;
                     }});
  }
  if (s.cluster.graphml.empty() && s.cluster.scale_up.bandwidth.value > 0) {
    knobs.push_back({"scale-up bandwidth", false, [](Scenario& c, double f) {
                       c.cluster.scale_up.bandwidth = c.cluster.scale_up.bandwidth * f;
                     }});
  }
  knobs.push_back({"memory bandwidth", false, [](Scenario& c, double f) {
                     c.cluster.gpu.memory_bandwidth = c.cluster.gpu.memory_bandwidth * f;
                   }});
  knobs.push_back({"compute rate", false, [](Scenario& c, double f) {
                     c.cluster.gpu.bf16_rate = c.cluster.gpu.bf16_rate * f;
                     c.cluster.gpu.fp8_rate = c.cluster.gpu.fp8_rate * f;
                   }});
  knobs.push_back({"kernel starts", false, [](Scenario& c, double f) {
                     CostConstants& k = c.calibration;
                     k.kernel_launch = k.kernel_launch * f;
                     k.expert_floor = k.expert_floor * f;
                     k.communication_start = k.communication_start * f;
                     k.combine_extra_start = k.combine_extra_start * f;
                   }});
  if (s.model.moe_layers > 0 && s.routing.source == RoutingOrigin::kGenerated) {
    knobs.push_back({"routing skew", false, [](Scenario& c, double f) {
                       GeneratorSpec& g = c.routing.generated;
                       g.zipf_exponent *= f;
                       g.popularity_sigma *= f;
                       g.domain_sigma *= f;
                       g.request_sigma *= f;
                     }});
  }
  if (s.step.kind == StepKind::kServing) {
    knobs.push_back({"arrival rate", false, [](Scenario& c, double f) {
                       const bool drawn = c.requests.source == ArrivalSource::kPoisson;
                       (drawn ? c.requests.rate : c.requests.rate_scale) *= f;
                     }});
  }
  return knobs;
}

Knob gpu_price(CostKind cost) {
  if (cost == CostKind::kRented) {
    return {
        "GPU rent", true, [](Scenario& c, double f) { c.price.gpu_rent = c.price.gpu_rent * f; }};
  }
  return {"purchase prices", true, [](Scenario& c, double f) {
            PriceSpec& p = c.price;
            p.gpu_purchase = p.gpu_purchase * f;
            p.node_purchase = p.node_purchase * f;
            p.nic_purchase = p.nic_purchase * f;
            p.switch_purchase = p.switch_purchase * f;
            p.cable_purchase = p.cable_purchase * f;
          }};
}

std::vector<Knob> price_knobs(const Scenario& s, const SensitivityControl& control) {
  if (control.objective != PlanObjective::kCost || !s.price.is_stated()) {
    return {};
  }
  std::vector<Knob> knobs = {gpu_price(control.cost)};
  if (control.cost == CostKind::kOwned && s.price.electricity.value > 0) {
    knobs.push_back({"electricity price", true, [](Scenario& c, double f) {
                       c.price.electricity = c.price.electricity * f;
                     }});
  }
  if (s.step.kind != StepKind::kServing) {
    knobs.push_back({"utilisation", true, [](Scenario& c, double f) {
                       c.price.utilisation = std::min(1.0, c.price.utilisation * f);
                     }});
  }
  return knobs;
}

/// The objective after `knob` by `factor`, over the scenario's own number of steps.
double value_with(const PlanChoice& choice,
                  const Knob& knob,
                  double factor,
                  const SensitivityControl& control) {
  Scenario changed = *choice.scenario;
  knob.apply(changed, factor);
  PlanYield yield = choice.yield;
  if (!knob.price) {
    yield = simulate_plan_point(changed, 0, changed.batch.steps, *control.cache).yield;
  }
  std::optional<MoneyReport> money;
  if (changed.price.is_stated()) {
    money = money_of(changed, make_cluster(changed).cluster, yield.served);
  }
  return value_of(score_of(changed, money, control.cost, yield), control.objective);
}

double base_value(const PlanChoice& choice, const SensitivityControl& control) {
  const Knob nothing{"", true, [](Scenario&, double) {}};
  return value_with(choice, nothing, 1.0, control);
}

/// Calls of `work`, in parallel, with progress.
void for_each(std::size_t count,
              const SensitivityControl& control,
              const std::function<void(std::size_t)>& work) {
  std::mutex mutex;
  int done = 0;
  tbb::parallel_for(std::size_t{0}, count, [&](std::size_t i) {
    work(i);
    const std::scoped_lock lock(mutex);
    ++done;
    if (control.on_progress) {
      control.on_progress(done, static_cast<int>(count));
    }
  });
}

}  // namespace

bool is_price_knob(const std::string& knob) {
  return knob == "GPU rent" || knob == "purchase prices" || knob == "electricity price" ||
         knob == "utilisation";
}

std::vector<PlanSwing> swings_of(const PlanChoice& choice, const SensitivityControl& control) {
  if (control.vary <= 0) {
    return {};
  }
  std::vector<Knob> knobs = physics_knobs(*choice.scenario);
  for (Knob& knob : price_knobs(*choice.scenario, control)) {
    knobs.push_back(std::move(knob));
  }
  std::vector<PlanSwing> swings(knobs.size());
  for_each(2 * knobs.size(), control, [&](std::size_t i) {
    const bool high = i % 2 == 1;
    const double value =
        value_with(choice, knobs[i / 2], high ? 1 + control.vary : 1 - control.vary, control);
    (high ? swings[i / 2].high : swings[i / 2].low) = value;
  });
  const double base = base_value(choice, control);
  for (std::size_t i = 0; i < knobs.size(); ++i) {
    swings[i].knob = knobs[i].name;
  }
  const auto width = [&](const PlanSwing& s) {
    return std::max(std::abs(s.low - base), std::abs(s.high - base));
  };
  std::stable_sort(swings.begin(), swings.end(), [&](const PlanSwing& a, const PlanSwing& b) {
    return width(a) > width(b);
  });
  return swings;
}

std::vector<PlanThreshold> thresholds_of(const PlanChoice& choice,
                                         const PlanChoice& other,
                                         const SensitivityControl& control) {
  constexpr double kFurthest = 4;
  struct Question {
    const PlanChoice* of = nullptr;
    Knob knob;
    double end = 0;
    std::string side;
  };
  std::vector<Question> questions;
  if (control.objective == PlanObjective::kCost) {
    questions.push_back({&choice, gpu_price(control.cost), kFurthest, "choice"});
    questions.push_back({&other, gpu_price(control.cost), 1 / kFurthest, "alternative"});
  }
  for (Knob& knob : control.vary > 0 ? physics_knobs(*choice.scenario) : std::vector<Knob>{}) {
    const bool slows =
        knob.name != "routing skew" && knob.name != "kernel starts" && knob.name != "arrival rate";
    questions.push_back({&choice, std::move(knob), slows ? 1 / kFurthest : kFurthest, "choice"});
  }
  std::vector<PlanThreshold> thresholds(questions.size());
  for_each(questions.size(), control, [&](std::size_t i) {
    const Question& q = questions[i];
    const double target = base_value(q.of == &choice ? other : choice, control);
    const auto value = [&](double factor) {
      return factor == 1.0 ? base_value(*q.of, control)
                           : value_with(*q.of, q.knob, factor, control);
    };
    thresholds[i] = {.knob = q.knob.name,
                     .side = q.side,
                     .factor = crossing(value, target, q.end),
                     .tried = q.end};
  });
  return thresholds;
}

}  // namespace moesim::cli
