// SPDX-License-Identifier: Apache-2.0
// PlacementCost: rows and copies that ranks and domains get, and what they load links with.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "sim/study/placement_cost.hpp"

namespace moesim {

ReplicaRows PlacementCost::domains_of(ReplicaRows ranks) const {
  for (std::size_t& row : ranks.rows) {
    row = resources_.domains.of_rank[row];
  }
  return ranks;
}

void PlacementCost::share_rows(const ServedExpert& served, int sign) {
  const std::vector<std::size_t>& slots = served.slots;
  const ReplicaSplit& split = served.split();
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const std::size_t rank = slots[i] / slots_per_rank_;
    const std::size_t domain = resources_.domains.of_rank[rank];
    touch(rank);
    for (std::size_t step = 0; step < steps(); ++step) {
      rows_[step * expert_of_slot_.size() + slots[i]] =
          sign > 0 ? split.rows[i * steps() + step] : 0;
    }
    rows_[steps() * expert_of_slot_.size() + slots[i]] = sign > 0 ? split.peaks[i] : 0;
    for (std::size_t source = 0; source < ranks(); ++source) {
      const std::int64_t sent = sign * split.sent[i * ranks() + source];
      sent_[rank * ranks() + source] += sent;
      sent_to_domain_[domain * ranks() + source] += sent;
    }
  }
}

void PlacementCost::visit(std::size_t expert, const ReplicaRows& ranks) {
  if (resources_.copies.is_used()) {
    count_kept(by_rank_, expert, ranks, 1);
  }
  if (resources_.relayed.is_used()) {
    count_kept(by_domain_, expert, domains_of(ranks), 1);
  }
}

void PlacementCost::recount(std::size_t expert, const ReplicaRows& before, const ReplicaRows& now) {
  if (resources_.copies.is_used()) {
    recount_rows(by_rank_, expert, before, now);
  }
  if (resources_.relayed.is_used()) {
    recount_rows(by_domain_, expert, domains_of(before), domains_of(now));
  }
}

void PlacementCost::count_kept(OverlapCounter& counter,
                               std::size_t expert,
                               const ReplicaRows& rows,
                               int sign) {
  const auto count = [&](std::size_t row, std::size_t source, auto tokens) {
    if (sign > 0) {
      counter.add(row, source, tokens);
    } else {
      counter.remove(row, source, tokens);
    }
  };
  for (std::size_t source = 0; source < ranks(); ++source) {
    if (rows.in_turn != nullptr) {
      for (std::size_t i = 0; i < rows.rows.size(); ++i) {
        count(rows.rows[i], source, rows.in_turn->of(source, i));
      }
    } else {
      for (const KeptAssignment& kept : traffic_.kept_of(expert, source)) {
        count(rows.of(source, kept), source, std::span(&kept.token, 1));
      }
    }
  }
}

void PlacementCost::recount_rows(OverlapCounter& counter,
                                 std::size_t expert,
                                 const ReplicaRows& before,
                                 const ReplicaRows& after) {
  if (before.in_turn != after.in_turn) {
    count_kept(counter, expert, before, -1);
    count_kept(counter, expert, after, 1);
    return;
  }
  if (before.in_turn != nullptr) {  // the same tokens to each replica
    for (std::size_t i = 0; i < before.rows.size(); ++i) {
      for (std::size_t source = 0; before.rows[i] != after.rows[i] && source < ranks(); ++source) {
        const std::span<const std::int32_t> tokens = before.in_turn->of(source, i);
        counter.remove(before.rows[i], source, tokens);
        counter.add(after.rows[i], source, tokens);
      }
    }
    return;
  }
  for (std::size_t source = 0; source < ranks(); ++source) {
    for (const KeptAssignment& kept : traffic_.kept_of(expert, source)) {
      const std::size_t from = before.of(source, kept);
      const std::size_t to = after.of(source, kept);
      if (from != to) {
        counter.remove(from, source, std::span(&kept.token, 1));
        counter.add(to, source, std::span(&kept.token, 1));
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
  for (const std::size_t rank : touched_) {  // a domain twice settles nothing anew
    settle(to_ranks(), rank);
    settle(to_domains(), resources_.domains.of_rank[rank]);
  }
}

PlacementCost::Copies PlacementCost::to_ranks() {
  const bool shared = resources_.copies.is_used();
  return {.table = shared ? resources_.copies : resources_.assignments,
          .sent = sent_,
          .again = shared ? &by_rank_ : nullptr,
          .settled = settled_rank_};
}

PlacementCost::Copies PlacementCost::to_domains() {
  return {.table = resources_.relayed,
          .sent = sent_to_domain_,
          .again = &by_domain_,
          .settled = settled_domain_};
}

std::int64_t PlacementCost::counted(const Copies& copies,
                                    std::size_t row,
                                    std::size_t source) const {
  const std::int64_t again = copies.again != nullptr ? copies.again->again(row, source) : 0;
  return copies.sent[row * ranks() + source] - std::int64_t{traffic_.stride} * again;
}

double PlacementCost::expected_of_token(const Copies& copies, std::size_t row) const {
  const auto sent = std::span(copies.sent).subspan(row * ranks(), ranks());
  return expected_copies(std::accumulate(sent.begin(), sent.end(), std::int64_t{0}),
                         tokens_,
                         traffic_.top_k,
                         copies.again != nullptr);
}

void PlacementCost::settle(const Copies& copies, std::size_t row) {
  if (!copies.table.is_used()) {
    return;
  }
  const bool all_counted = believed_sharing_ >= 1.0;
  const double of_token = all_counted ? 0.0 : expected_of_token(copies, row);
  for (std::size_t source = 0; source < ranks(); ++source) {
    const std::size_t cell = row * ranks() + source;
    std::int64_t units = counted(copies, row, source);
    if (!all_counted) {
      const double expected = of_token * tokens_of_source_[source];
      units = static_cast<std::int64_t>(
          std::floor(expected + believed_sharing_ * (static_cast<double>(units) - expected) + 0.5));
    }
    shift(copies.table.of(cell), units - copies.settled[cell]);
    copies.settled[cell] = units;
  }
}

}  // namespace moesim
