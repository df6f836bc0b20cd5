// SPDX-License-Identifier: Apache-2.0
#include "sim/step/rebalance.hpp"

#include <tbb/global_control.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/step/layer_work.hpp"
#include "sim/step/migration.hpp"

namespace moesim {
namespace {

/// Steps that share a placement.
struct Era {
  int first = 0;
  std::vector<Placement> placements;
};

/// Whether a placement is made anew before step first + i.
bool is_due(const RebalancePolicy& policy,
            const RebalanceSetup& setup,
            int i,
            const std::function<double()>& imbalance) {
  if (policy.every > 0 && i % policy.every == 0) {
    return true;
  }
  return policy.threshold > 0.0 && i % setup.window == 0 && imbalance() > policy.threshold;
}

/// The placements of a policy: they depend on the routing alone.
std::vector<Era> eras_of(const StepModel& model,
                         const RebalancePolicy& policy,
                         const RebalanceSetup& setup,
                         const ReplayControl& control) {
  std::vector<Era> eras = {{0, model.placements}};
  for (int i = 0; i < setup.steps; ++i) {
    if (control.cancelled != nullptr && control.cancelled->load()) {
      throw Cancelled();
    }
    std::vector<std::vector<double>> loads;
    const auto seen = [&]() -> const std::vector<std::vector<double>>& {
      if (loads.empty()) {
        loads = window_loads(
            *model.routing, {setup.first + i - setup.window, setup.window}, model.layers);
      }
      return loads;
    };
    if (is_due(
            policy, setup, i, [&] { return planned_imbalance(seen(), eras.back().placements); })) {
      eras.push_back({i, setup.make(seen())});
    }
  }
  return eras;
}

}  // namespace

double RebalanceOutcome::mean_s() const {
  return (std::accumulate(step_s.begin(), step_s.end(), 0.0) + stall_s) /
         static_cast<double>(step_s.size());
}

RebalanceOutcome rebalance(const StepModel& model,
                           const RebalancePolicy& policy,
                           const RebalanceSetup& setup,
                           const ReplayControl& control) {
  MOESIM_CHECK(setup.window > 0 && setup.first >= setup.window && setup.steps > 0,
               "a new placement has loads to be made from");
  std::optional<tbb::global_control> limit;
  if (control.threads > 0) {
    limit.emplace(tbb::global_control::max_allowed_parallelism,
                  static_cast<std::size_t>(control.threads));
  }
  const std::vector<Era> eras = eras_of(model, policy, setup, control);
  const Domains domains = make_domains(rank_places(model.cluster, model.ranks));
  RebalanceOutcome outcome{.policy = policy, .step_s = {}};
  outcome.step_s.resize(static_cast<std::size_t>(setup.steps));
  StepModel at = model;
  for (std::size_t e = 0; e < eras.size(); ++e) {
    if (e > 0) {
      const Migration moved = plan_migration(
          at.placements, eras[e].placements, domains, routed_expert_bytes(model.model));
      outcome.moves += moved.experts_sent > 0 ? 1 : 0;
      outcome.moved_bytes += moved.total_bytes();
      outcome.stall_s += pause_of(model, moved).value;
    }
    at.placements = eras[e].placements;
    const int last = e + 1 < eras.size() ? eras[e + 1].first : setup.steps;
    tbb::parallel_for(eras[e].first, last, [&](int i) {
      if (control.cancelled == nullptr || !control.cancelled->load()) {
        outcome.step_s[static_cast<std::size_t>(i)] =
            simulate_step(at, setup.first + i).makespan.to_seconds().value;
      }
    });
    if (control.cancelled != nullptr && control.cancelled->load()) {
      throw Cancelled();
    }
    if (control.on_progress) {
      control.on_progress(last, setup.steps);
    }
  }
  return outcome;
}

double planned_imbalance(std::span<const std::vector<double>> loads,
                         std::span<const Placement> placements) {
  double sum = 0.0;
  for (std::size_t layer = 0; layer < loads.size(); ++layer) {
    const Placement& placement = placements[layer];
    std::vector<double> rank_load(static_cast<std::size_t>(placement.num_ranks));
    for (std::size_t e = 0; e < loads[layer].size(); ++e) {
      const auto slots = placement.slots_of(id_at<ExpertId>(e));
      for (const SlotId slot : slots) {
        rank_load[placement.rank_of(slot).index()] +=
            loads[layer][e] / static_cast<double>(slots.size());
      }
    }
    const double total = std::accumulate(rank_load.begin(), rank_load.end(), 0.0);
    const double most = *std::max_element(rank_load.begin(), rank_load.end());
    sum += total > 0.0 ? most * static_cast<double>(rank_load.size()) / total : 1.0;
  }
  return sum / static_cast<double>(loads.size());
}

}  // namespace moesim
