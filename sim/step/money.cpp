// SPDX-License-Identifier: Apache-2.0
#include "sim/step/money.hpp"

#include <array>
#include <cstddef>
#include <set>

#include "sim/core/check.hpp"

namespace moesim {
namespace {

constexpr std::array<std::string_view, 3> kBasisNames = {"example", "assumed", "quoted"};
constexpr double kMillion = 1e6;
constexpr double kWattsPerKilowatt = 1000;

bool is_fabric_switch(VertexKind kind) {
  return kind == VertexKind::kLeaf || kind == VertexKind::kSpine || kind == VertexKind::kCore;
}

/// Tokens in an hour that is paid for.
double tokens_per_hour(const PriceSpec& price, double tokens_per_s) {
  MOESIM_CHECK(tokens_per_s > 0, "a step that processes tokens");
  return tokens_per_s * price.utilisation * kSecondsPerHour;
}

}  // namespace

std::string_view to_text(PriceBasis basis) {
  return kBasisNames[static_cast<std::size_t>(basis)];
}

Equipment equipment_of(const Cluster& cluster, std::int64_t gpus) {
  MOESIM_CHECK(gpus > 0 && gpus <= static_cast<std::int64_t>(cluster.gpus.size()),
               "GPUs of the cluster");
  std::set<int> used;
  std::set<int> all;
  for (std::size_t i = 0; i < cluster.gpus.size(); ++i) {
    all.insert(cluster.gpus[i].node);
    if (static_cast<std::int64_t>(i) < gpus) {
      used.insert(cluster.gpus[i].node);
    }
  }
  Equipment whole;
  for (const Vertex& vertex : cluster.vertices) {
    whole.nics += vertex.kind == VertexKind::kNic ? 1 : 0;
  }
  for (const Link& link : cluster.links) {  // one each way
    const bool scale_out = link.kind == LinkKind::kNic || link.kind == LinkKind::kFabric;
    whole.cables += scale_out ? 0.5 : 0;
    whole.switch_ports +=
        scale_out && is_fabric_switch(cluster.vertices[link.source.index()].kind) ? 1 : 0;
  }
  const double share = static_cast<double>(used.size()) / static_cast<double>(all.size());
  return {.gpus = static_cast<double>(cluster.gpus.size()) * share,
          .nodes = static_cast<double>(used.size()),
          .nics = whole.nics * share,
          .switch_ports = whole.switch_ports * share,
          .cables = whole.cables * share};
}

RunningCost running_cost(const PriceSpec& p, const Equipment& e) {
  RunningCost cost;
  cost.purchase = p.gpu_purchase * e.gpus + p.node_purchase * e.nodes + p.nic_purchase * e.nics +
                  p.switch_purchase * e.switch_ports + p.cable_purchase * e.cables;
  cost.depreciation = {cost.purchase.value / (p.depreciation_years * kHoursPerYear)};
  cost.upkeep = {cost.purchase.value * p.upkeep_per_year / kHoursPerYear};
  const Watts gpu = p.gpu_busy * p.utilisation + p.gpu_idle * (1 - p.utilisation);
  cost.power = (gpu * e.gpus + p.node_power * e.nodes + p.switch_power * e.switch_ports) * p.pue;
  cost.energy = {cost.power.value / kWattsPerKilowatt * p.electricity.value};
  if (p.is_owned()) {
    cost.owned = cost.depreciation + cost.upkeep + cost.energy;
  }
  if (p.is_rented()) {
    cost.rented = p.gpu_rent * e.gpus;
  }
  return cost;
}

Dollars per_million_tokens(const PriceSpec& price, DollarsPerHour hourly, double tokens_per_s) {
  return {hourly.value / tokens_per_hour(price, tokens_per_s) * kMillion};
}

std::optional<double> tokens_per_joule(const PriceSpec& price,
                                       const RunningCost& cost,
                                       double tokens_per_s) {
  return cost.power.value > 0 ? std::optional(tokens_per_s * price.utilisation / cost.power.value)
                              : std::nullopt;
}

RunCost cost_of_run(const PriceSpec& price, const RunningCost& cost, double tokens_per_s) {
  RunCost run;
  run.hours = price.training_tokens / tokens_per_hour(price, tokens_per_s);
  run.kilowatt_hours = run.hours * cost.power.value / kWattsPerKilowatt;
  const auto whole = [&](DollarsPerHour hourly) { return Dollars{hourly.value * run.hours}; };
  if (cost.owned) {
    run.owned = whole(*cost.owned);
  }
  if (cost.rented) {
    run.rented = whole(*cost.rented);
  }
  return run;
}

}  // namespace moesim
