// SPDX-License-Identifier: Apache-2.0
// All levels from scratch, by progressive filling.
#include <algorithm>

#include "sim/core/check.hpp"
#include "sim/network/fair_share.hpp"

namespace moesim {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

}  // namespace

/// One filling of all classes with flows; see MaxMinSolver for the same in isolation.
void FairShare::rebuild() {
  ++work_.rebuilds;
  unbuild();
  fill();
  couple();
  pending_.clear();
}

/// Notes what is left of each class and forgets who owns it.
void FairShare::unbuild() {
  remaining_.clear();
  for (const std::int32_t c : pending_) {
    classes_.place[static_cast<std::size_t>(c)] = -1;
  }
  for (std::size_t l = 0; l < links_.size(); ++l) {
    LinkState& link = links_[l];
    settle_clock(link);
    for (const OwnedClass& entry : owned_[l].entries()) {
      classes_.place[static_cast<std::size_t>(entry.flow_class)] =
          static_cast<std::int32_t>(remaining_.size());
      remaining_.push_back(entry.target - link.served);
      classes_[entry.flow_class].owner = -1;
      pending_.push_back(entry.flow_class);
    }
    owned_[l].clear();
    couplings_[l].clear();
    free_[l] = link.capacity;
    place_[l] = 0;
    link.own = 0.0;
    link.level = 0.0;
    link.served = 0.0;
    link.since = now_;
    set_due(l, kNever);
    link.is_watched = false;
  }
  order_.assign(1, -1);
  num_owned_ = static_cast<std::int64_t>(pending_.size());
}

/// Capacity not yet given away, by flow not yet fixed. Uses `free` for the former and `own` for the
/// flows to fix.
double FairShare::share_of(std::int32_t l) const {
  const auto i = static_cast<std::size_t>(l);
  return free_[i] / links_[i].own;
}

void FairShare::fill() {
  for (const std::int32_t c : pending_) {
    for (const std::int32_t l : classes_.links(c)) {
      at(l).own += classes_[c].weight;
    }
  }
  const auto later = [](const Share& a, const Share& b) {
    return a.level != b.level ? a.level > b.level : a.link > b.link;
  };
  shares_.clear();
  for (std::size_t l = 0; l < links_.size(); ++l) {
    if (links_[l].own > 0.0) {
      const auto id = static_cast<std::int32_t>(l);
      shares_.push_back({.level = share_of(id), .link = id});
    }
  }
  std::make_heap(shares_.begin(), shares_.end(), later);
  double level = 0.0;
  while (!shares_.empty()) {
    std::pop_heap(shares_.begin(), shares_.end(), later);
    Share& top = shares_.back();
    const std::int32_t l = top.link;
    if (at(l).own <= 0.0) {
      shares_.pop_back();
      continue;
    }
    const double share = std::max(level, share_of(l));
    if (share > top.level) {  // classes were fixed below it since
      top.level = share;
      std::push_heap(shares_.begin(), shares_.end(), later);
      continue;
    }
    level = share;
    shares_.pop_back();
    at(l).level = level;
    place_of(l) = static_cast<std::int32_t>(order_.size());
    order_.push_back(l);
    for (const std::int32_t c : classes_.crossing(static_cast<std::size_t>(l))) {
      if (classes_[c].owner < 0) {
        fix(c, l, level);
      }
    }
  }
  marked_.assign(order_.size(), kClean);
  first_marked_ = order_.size();
}

void FairShare::fix(std::int32_t c, std::int32_t owner, double level) {
  ClassTable::State& state = classes_[c];
  state.owner = owner;
  const std::int32_t noted = classes_.place[static_cast<std::size_t>(c)];
  const double left =
      noted < 0 ? classes_.pool[state.members].finish : remaining_[static_cast<std::size_t>(noted)];
  owned_[static_cast<std::size_t>(owner)].append({.target = left, .flow_class = c});
  const double flows = classes_[c].weight;
  for (const std::int32_t l : classes_.links(c)) {
    free_of(l) -= flows * level;
    at(l).own -= flows;
  }
}

/// From the owners: heaps, flows owned, what others leave, and what is coupled.
void FairShare::couple() {
  for (std::size_t place = 1; place < order_.size(); ++place) {
    const std::int32_t l = order_[place];
    LinkState& link = at(l);
    OwnedHeap& heap = owned_[static_cast<std::size_t>(l)];
    scratch_.clear();
    std::int32_t own = 0;
    for (const OwnedClass& entry : heap.entries()) {
      const std::int32_t flows = classes_[entry.flow_class].weight;
      own += flows;
      for (const std::int32_t other : classes_.links(entry.flow_class)) {
        if (!is_full(other)) {
          continue;
        }
        std::int32_t& count = count_[static_cast<std::size_t>(other)];
        if (count == 0) {
          scratch_.push_back(other);
        }
        count += flows;
      }
    }
    for (const std::int32_t other : scratch_) {
      if (other != l) {
        couplings(l).append(other, count_[static_cast<std::size_t>(other)]);
      }
      count_[static_cast<std::size_t>(other)] = 0;
    }
    link.own = own;
    free_of(l) += own * link.level;
    heap.make(classes_.place);
    update_due(l);
  }
  for (std::size_t l = 0; l < links_.size(); ++l) {
    if (place_[l] == 0 && free_[l] < links_[l].capacity) {
      survey(static_cast<std::int32_t>(l), false);
    }
  }
}

}  // namespace moesim
