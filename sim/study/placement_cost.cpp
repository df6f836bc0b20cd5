// SPDX-License-Identifier: Apache-2.0
#include "sim/study/placement_cost.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "sim/core/check.hpp"

namespace moesim {
namespace {

constexpr int kMostVisits = 255;  // OverlapCounter counts in bytes

std::size_t kept_rows(const TermTable& table, std::size_t rows) {
  return table.is_used() ? rows : 0;
}

double picoseconds_to_seconds(std::int64_t ps) {
  return static_cast<double>(ps) * 1e-12;
}

}  // namespace

PlacementCost::PlacementCost(const StepModel& model,
                             const ExpertTraffic& traffic,
                             const LayerResources& resources,
                             const Placement& start)
    : model_(model),
      compute_{model.cluster.gpu, model.constants},
      traffic_(traffic),
      resources_(resources),
      slots_per_rank_(static_cast<std::size_t>(start.slots_per_rank())),
      slots_of_(static_cast<std::size_t>(traffic.experts)),
      even_(static_cast<std::size_t>(traffic.experts)),
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
  set_shared();
  set_peaks();
  for (std::size_t e = 0; e < slots_of_.size(); ++e) {
    share_rows(e, slots_of_[e], 1);
    count_kept(e);
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

void PlacementCost::set_peaks() {
  for (std::size_t e = 0; e < slots_of_.size(); ++e) {
    std::size_t peak = 0;
    std::int64_t most = 0;
    for (int step = 0; step < traffic_.steps; ++step) {
      const std::span<const std::int32_t> counts = traffic_.of(step, e);
      const std::int64_t sum = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
      if (sum > most) {
        most = sum;
        peak = static_cast<std::size_t>(step);
      }
    }
    peak_step_.push_back(peak);
  }
}

void PlacementCost::set_shared() {
  for (std::size_t step = 0; step < steps(); ++step) {
    for (std::size_t rank = 0; rank < ranks(); ++rank) {
      const std::int64_t tokens = traffic_.tokens[step * ranks() + rank];
      double& shared = own_seconds_[step * ranks() + rank];
      shared = shared_expert_time(compute_, model_.model, tokens).value /
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
    return seconds(picoseconds_to_seconds(most) / static_cast<double>(steps()));
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
  std::vector<std::vector<std::size_t>> before;
  for (const std::size_t expert : experts) {
    before.push_back(slots_of_[expert]);
    share_rows(expert, before.back(), -1);
  }
  for (const SlotChange& change : changes) {
    std::erase(slots_of_[expert_of_slot_[change.slot]], change.slot);
    expert_of_slot_[change.slot] = change.expert;
    std::vector<std::size_t>& slots = slots_of_[change.expert];
    slots.insert(std::lower_bound(slots.begin(), slots.end(), change.slot), change.slot);
  }
  for (std::size_t i = 0; i < experts.size(); ++i) {
    MOESIM_CHECK(!slots_of_[experts[i]].empty(), "every expert keeps a slot");
    share_rows(experts[i], slots_of_[experts[i]], 1);
    recount(experts[i], before[i]);
  }
  settle_loads();
}

const ReplicaSplit& PlacementCost::even(std::size_t expert, std::size_t replicas) {
  std::vector<std::optional<ReplicaSplit>>& known = even_[expert];
  if (known.size() < replicas) {
    known.resize(replicas);
  }
  std::optional<ReplicaSplit>& split = known[replicas - 1];
  if (!split) {
    split = even_split(traffic_, expert, replicas);
  }
  return *split;
}

ReplicaRows PlacementCost::ranks_of(std::size_t expert,
                                    const std::vector<std::size_t>& slots) const {
  ReplicaRows ranks;
  for (const std::size_t slot : slots) {
    ranks.rows.push_back(slot / slots_per_rank_);
  }
  if (is_nearest() && slots.size() > 1) {
    ranks.nearest = nearest_replicas(resources_.domains, expert, ranks.rows);
  }
  return ranks;
}

ReplicaRows PlacementCost::domains_of(ReplicaRows ranks) const {
  for (std::size_t& row : ranks.rows) {
    row = resources_.domains.of_rank[row];
  }
  return ranks;
}

void PlacementCost::share_rows(std::size_t expert,
                               const std::vector<std::size_t>& slots,
                               int sign) {
  ReplicaSplit own;
  const ReplicaSplit* split = &own;
  if (is_nearest() && slots.size() > 1) {
    own = split_by_source(traffic_, expert, ranks_of(expert, slots).nearest, slots.size());
  } else {
    split = &even(expert, slots.size());
  }
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const std::size_t rank = slots[i] / slots_per_rank_;
    const std::size_t domain = resources_.domains.of_rank[rank];
    touch(rank);
    for (std::size_t step = 0; step < steps(); ++step) {
      rows_[step * expert_of_slot_.size() + slots[i]] =
          sign > 0 ? split->rows[i * steps() + step] : 0;
    }
    rows_[steps() * expert_of_slot_.size() + slots[i]] =
        sign > 0 ? split->rows[i * steps() + peak_step_[expert]] : 0;
    for (std::size_t source = 0; source < ranks(); ++source) {
      const std::int64_t sent = sign * split->sent[i * ranks() + source];
      sent_[rank * ranks() + source] += sent;
      sent_to_domain_[domain * ranks() + source] += sent;
    }
  }
}

void PlacementCost::count_kept(std::size_t expert) {
  const ReplicaRows ranks_now = ranks_of(expert, slots_of_[expert]);
  const ReplicaRows domains_now = domains_of(ranks_now);
  for (std::size_t source = 0; source < ranks(); ++source) {
    for (const KeptAssignment& kept : traffic_.kept_of(expert, source)) {
      if (resources_.copies.is_used()) {
        by_rank_.add(ranks_now.of(source, kept.turn), source, kept.token);
      }
      if (resources_.relayed.is_used()) {
        by_domain_.add(domains_now.of(source, kept.turn), source, kept.token);
      }
    }
  }
}

void PlacementCost::recount(std::size_t expert, const std::vector<std::size_t>& before) {
  const ReplicaRows ranks_before = ranks_of(expert, before);
  const ReplicaRows ranks_now = ranks_of(expert, slots_of_[expert]);
  if (resources_.copies.is_used()) {
    recount_rows(by_rank_, expert, ranks_before, ranks_now);
  }
  if (resources_.relayed.is_used()) {
    recount_rows(by_domain_, expert, domains_of(ranks_before), domains_of(ranks_now));
  }
}

void PlacementCost::recount_rows(OverlapCounter& counter,
                                 std::size_t expert,
                                 const ReplicaRows& before,
                                 const ReplicaRows& after) {
  if (before.nearest.empty() && after.nearest.empty() && before.rows == after.rows) {
    return;
  }
  for (std::size_t source = 0; source < ranks(); ++source) {
    const std::span<const KeptAssignment> kept = traffic_.kept_of(expert, source);
    if (before.is_fixed() && after.is_fixed()) {
      if (before.of(source) != after.of(source)) {
        counter.move(kept, source, before.of(source), after.of(source));
      }
      continue;
    }
    for (const KeptAssignment& assignment : kept) {
      const std::size_t from = before.of(source, assignment.turn);
      const std::size_t to = after.of(source, assignment.turn);
      if (from != to) {
        counter.remove(from, source, assignment.token);
        counter.add(to, source, assignment.token);
      }
    }
  }
}

void PlacementCost::touch(std::size_t rank) {
  if (is_touched_[rank] == 0) {
    is_touched_[rank] = 1;
    touched_.push_back(rank);
  }
}

void PlacementCost::settle_loads() {
  for (const std::size_t rank : touched_) {
    settle_rank(rank);
  }
  if (resources_.relayed.is_used()) {
    for (std::size_t i = 0; i < touched_.size(); ++i) {  // a domain twice settles nothing anew
      settle_domain(resources_.domains.of_rank[touched_[i]]);
    }
  }
}

void PlacementCost::settle_rank(std::size_t rank) {
  const bool dedup = resources_.copies.is_used();
  const TermTable& table = dedup ? resources_.copies : resources_.assignments;
  if (!table.is_used()) {
    return;
  }
  for (std::size_t source = 0; source < ranks(); ++source) {
    const std::size_t cell = rank * ranks() + source;
    const std::int64_t units =
        sent_[cell] -
        (dedup ? std::int64_t{traffic_.stride} * by_rank_.again(rank, source) : std::int64_t{0});
    shift(table.of(cell), units - settled_rank_[cell]);
    settled_rank_[cell] = units;
  }
}

void PlacementCost::settle_domain(std::size_t domain) {
  for (std::size_t source = 0; source < ranks(); ++source) {
    const std::size_t cell = domain * ranks() + source;
    const std::int64_t units =
        sent_to_domain_[cell] - std::int64_t{traffic_.stride} * by_domain_.again(domain, source);
    shift(resources_.relayed.of(cell), units - settled_domain_[cell]);
    settled_domain_[cell] = units;
  }
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
  return expert_time(compute_, model_.model, rows).value /
             model_.cluster.place(id_at<GpuId>(rank)).speed +
         own_seconds_[step * ranks() + rank];
}

}  // namespace moesim
