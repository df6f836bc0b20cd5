// SPDX-License-Identifier: Apache-2.0
#include "sim/study/placement_cost.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "sim/core/check.hpp"

namespace moesim {
namespace {

constexpr int kMostVisits = 255;  // OverlapCounter counts in bytes

std::size_t kept_rows(const TermTable& table, std::size_t rows) {
  return table.is_used() ? rows : 0;
}

}  // namespace

double expected_copies(std::int64_t assignments, double tokens, int top_k, bool shared) {
  const double of_token = tokens > 0.0 ? static_cast<double>(assignments) / tokens : 0.0;
  if (!shared) {
    return of_token;
  }
  double none = 1.0;
  for (int i = 0; i < top_k; ++i) {
    none *= std::max(0.0, 1.0 - of_token / top_k);
  }
  return 1.0 - none;
}

PlacementCost::PlacementCost(const StepModel& model,
                             const ExpertTraffic& traffic,
                             const LayerResources& resources,
                             const Placement& start,
                             const Believed& believed)
    : model_(model),
      timer_(ComputeModel{model.cluster.gpu, model.constants}, model.model),
      traffic_(traffic),
      resources_(resources),
      slots_per_rank_(static_cast<std::size_t>(start.slots_per_rank())),
      shares_(model.replicas, traffic, resources.domains, start.num_slots(), believed.rows),
      believed_sharing_(believed.sharing),
      tokens_of_source_(resources.domains.of_rank.size()),
      slots_of_(static_cast<std::size_t>(traffic.experts)),
      rows_(static_cast<std::size_t>(start.num_slots()) *
            (static_cast<std::size_t>(traffic.steps) + 1)),
      sent_(resources.domains.of_rank.size() * resources.domains.of_rank.size()),
      sent_to_domain_(resources.domains.size() * resources.domains.of_rank.size()),
      by_rank_(kept_rows(resources.copies, resources.domains.of_rank.size()),
               resources.domains.of_rank.size(),
               static_cast<std::size_t>(traffic.kept_tokens)),
      by_domain_(kept_rows(resources.relayed, resources.domains.size()),
                 resources.domains.of_rank.size(),
                 static_cast<std::size_t>(traffic.kept_tokens)),
      settled_rank_(sent_.size()),
      settled_domain_(sent_to_domain_.size()),
      loads_(resources.num_resources),
      own_seconds_(resources.domains.of_rank.size() *
                   (static_cast<std::size_t>(traffic.steps) + 1)),
      rank_seconds_(own_seconds_.size()),
      is_touched_(resources.domains.of_rank.size()) {
  MOESIM_CHECK(start.num_ranks == model.ranks && traffic.ranks == model.ranks,
               "placement, routing and model have the same ranks");
  MOESIM_CHECK(start.num_experts() == traffic.experts, "placement and routing: experts differ");
  MOESIM_CHECK(traffic.top_k <= kMostVisits, "a token has at most 255 experts");
  for (const ExpertId expert : start.expert_of_slot) {
    slots_of_[expert.index()].push_back(expert_of_slot_.size());
    expert_of_slot_.push_back(expert.index());
  }
  fixed_.fixed = fixed_time(model, traffic);
  for (std::size_t i = 0; i < traffic.tokens.size(); ++i) {
    tokens_of_source_[i % ranks()] += traffic.tokens[i];
    tokens_ += traffic.tokens[i];
  }
  set_shared();
  serve_all();
}

void PlacementCost::serve_all() {
  if (shares_.is_joint()) {
    shares_.take(shares_.turns_under(slots_of_), slots_of_);
  }
  for (std::size_t e = 0; e < slots_of_.size(); ++e) {
    const ServedExpert now = serve(e);
    share_rows(now, 1);
    visit(e, now.ranks);
  }
  for (std::size_t rank = 0; rank < ranks(); ++rank) {
    touch(rank);
  }
  settle_loads();
  for (std::size_t step = 0; step <= steps(); ++step) {
    for (std::size_t rank = 0; rank < ranks(); ++rank) {
      rank_seconds_[step * ranks() + rank] = rank_seconds(step, rank);
    }
  }
}

void PlacementCost::set_shared() {
  const ComputeModel compute{model_.cluster.gpu, model_.constants};
  for (std::size_t step = 0; step < steps(); ++step) {
    for (std::size_t rank = 0; rank < ranks(); ++rank) {
      const std::int64_t tokens = traffic_.tokens[step * ranks() + rank];
      double& shared = own_seconds_[step * ranks() + rank];
      shared = shared_expert_time(compute, model_.model, tokens).value /
               model_.cluster.place(id_at<GpuId>(rank)).speed;
      double& at_peak = own_seconds_[steps() * ranks() + rank];
      at_peak = std::max(at_peak, shared);
    }
  }
}

LayerCost PlacementCost::cost() const {
  LayerCost cost = fixed_;
  const auto busiest = [&](std::size_t first, std::size_t last) {
    std::int64_t most = 0;
    for (std::size_t i = first; i < last; ++i) {
      most = std::max(most, loads_[i]);
    }
    return seconds(1e-12 * static_cast<double>(most) / static_cast<double>(steps()));
  };
  cost.dispatch = busiest(0, resources_.num_dispatch);
  cost.combine = busiest(resources_.num_dispatch, resources_.num_resources);
  set_experts(cost);
  return cost;
}

Seconds PlacementCost::objective(double tail) const {
  LayerCost cost = fixed_;
  const auto softened = [&](std::size_t first, std::size_t last) {
    const auto loads = std::span(loads_).subspan(first, last - first);
    return seconds(soft_maximum(loads) * 1e-12 / static_cast<double>(steps()));
  };
  cost.dispatch = softened(0, resources_.num_dispatch);
  cost.combine = softened(resources_.num_dispatch, resources_.num_resources);
  set_experts(cost);
  return cost.guarded(tail);
}

void PlacementCost::set_experts(LayerCost& cost) const {
  const auto slowest = [&](std::size_t step) {
    const double* of_step = &rank_seconds_[step * ranks()];
    return *std::max_element(of_step, of_step + ranks());
  };
  double sum = 0.0;
  for (std::size_t step = 0; step < steps(); ++step) {
    sum += slowest(step);
  }
  cost.experts = seconds(sum / static_cast<double>(steps()));
  cost.at_peaks = seconds(slowest(steps()));
}

std::size_t PlacementCost::slowest_rank(std::size_t step) const {
  const double* of_step = &rank_seconds_[step * ranks()];
  return static_cast<std::size_t>(std::max_element(of_step, of_step + ranks()) - of_step);
}

Placement PlacementCost::placement() const {
  std::vector<ExpertId> slots;
  for (const std::size_t expert : expert_of_slot_) {
    slots.push_back(id_at<ExpertId>(expert));
  }
  return placement_from_slots(std::move(slots), model_.ranks);
}

void PlacementCost::change(std::span<const SlotChange> changes) {
  last_.clear();
  for (const SlotChange& change : changes) {
    last_.push_back({change.slot, expert_of_slot_[change.slot]});
  }
  move(changes);
  last_seconds_.clear();
  for (const std::size_t rank : touched_) {
    for (std::size_t step = 0; step <= steps(); ++step) {
      const std::size_t cell = step * ranks() + rank;
      last_seconds_.emplace_back(cell, rank_seconds_[cell]);
      rank_seconds_[cell] = rank_seconds(step, rank);
    }
  }
}

void PlacementCost::undo() {
  MOESIM_CHECK(!last_.empty(), "there is a change to take back");
  move(last_);
  last_.clear();
  for (const auto& [cell, value] : last_seconds_) {
    rank_seconds_[cell] = value;
  }
}

void PlacementCost::move(std::span<const SlotChange> changes) {
  std::vector<std::size_t> experts;
  for (const SlotChange& change : changes) {
    experts.push_back(expert_of_slot_[change.slot]);
    experts.push_back(change.expert);
  }
  std::sort(experts.begin(), experts.end());
  experts.erase(std::unique(experts.begin(), experts.end()), experts.end());
  for (const std::size_t rank : touched_) {
    is_touched_[rank] = 0;
  }
  touched_.clear();
  std::vector<ReplicaRows> before;
  const auto take_off = [&](std::size_t expert) {
    ServedExpert was = serve(expert);
    share_rows(was, -1);
    before.push_back(std::move(was.ranks));
  };
  std::for_each(experts.begin(), experts.end(), take_off);
  for (const SlotChange& change : changes) {
    std::erase(slots_of_[expert_of_slot_[change.slot]], change.slot);
    expert_of_slot_[change.slot] = change.expert;
    std::vector<std::size_t>& slots = slots_of_[change.expert];
    slots.insert(std::lower_bound(slots.begin(), slots.end(), change.slot), change.slot);
  }
  if (shares_.is_joint()) {
    std::vector<ReplicaTurns> turns = shares_.turns_under(slots_of_);
    const std::size_t changed = experts.size();
    for (const std::size_t other : shares_.differing(turns)) {
      if (!std::binary_search(
              experts.begin(), experts.begin() + static_cast<std::ptrdiff_t>(changed), other)) {
        take_off(other);
        experts.push_back(other);
      }
    }
    shares_.take(std::move(turns), slots_of_);
  }
  for (std::size_t i = 0; i < experts.size(); ++i) {
    MOESIM_CHECK(!slots_of_[experts[i]].empty(), "every expert keeps a slot");
    const ServedExpert now = serve(experts[i]);
    share_rows(now, 1);
    recount(experts[i], before[i], now.ranks);
  }
  settle_loads();
}

void PlacementCost::shift(std::span<const ResourceTerm> terms, std::int64_t units) {
  if (units == 0) {
    return;
  }
  for (const ResourceTerm& term : terms) {
    loads_[static_cast<std::size_t>(term.resource)] += units * term.picoseconds;
  }
}

double PlacementCost::rank_seconds(std::size_t step, std::size_t rank) const {
  const auto rows = std::span(rows_).subspan(step * expert_of_slot_.size() + rank * slots_per_rank_,
                                             slots_per_rank_);
  return timer_.time(rows).value / model_.cluster.place(id_at<GpuId>(rank)).speed +
         own_seconds_[step * ranks() + rank];
}

}  // namespace moesim
