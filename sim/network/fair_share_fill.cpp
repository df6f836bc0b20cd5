// SPDX-License-Identifier: Apache-2.0
// All levels from scratch, by progressive filling.
#include <algorithm>

#include "sim/core/check.hpp"
#include "sim/network/fair_share.hpp"

namespace moesim {
namespace {

constexpr std::size_t kAhead = 6;  ///< classes to prefetch

}  // namespace

/// One filling of all classes with flows; see MaxMinSolver for the same in isolation.
void FairShare::rebuild() {
  ++work_.rebuilds;
  unbuild();
  fill();
  pending_ = std::vector<std::int32_t>();  // the memory goes to the couplings
  remaining_ = std::vector<double>();
  for (std::size_t l = 0; l < links_.size(); ++l) {
    const bool is_slack = place_[l] == 0 && free_[l] < links_[l].capacity;
    links_[l].is_watched = is_slack && can_fill(static_cast<std::int32_t>(l));
  }
  couple();
}

/// Notes what is left of each class and forgets who owns it.
void FairShare::unbuild() {
  std::size_t num_classes = pending_.size();
  for (const OwnedHeap& heap : owned_) {
    num_classes += heap.size();
  }
  pending_.reserve(num_classes);
  remaining_.reserve(num_classes);
  for (std::size_t l = 0; l < links_.size(); ++l) {
    LinkState& link = links_[l];
    settle_clock(link);
    for (const OwnedClass& entry : owned_[l].entries()) {
      classes_[entry.flow_class].owner = -1;
      pend(entry.flow_class, entry.target - link.served);
    }
    owned_[l].clear();
    couplings_[l].clear();
    free_[l] = link.capacity;
    place_[l] = 0;
    link.own = 0.0;
    link.level = 0.0;
    link.served = 0.0;
    link.since = now_;
    due_.set(l, kNever);
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
  is_open_.assign(classes_.size(), false);
  for (const std::int32_t c : pending_) {
    is_open_[static_cast<std::size_t>(c)] = true;
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
    fix_open_classes(l);
  }
  marked_.assign(order_.size(), kClean);
  first_marked_ = order_.size();
}

/// A link that is full from here on gets the classes that no lower one has got.
void FairShare::fix_open_classes(std::int32_t l) {
  scratch_.clear();
  for (const std::int32_t c : classes_.listed(static_cast<std::size_t>(l))) {
    if (is_open_[static_cast<std::size_t>(c)]) {
      is_open_[static_cast<std::size_t>(c)] = false;
      scratch_.push_back(c);
      classes_.prefetch(c);
    }
  }
  owned_[static_cast<std::size_t>(l)].reserve(scratch_.size());
  for (std::size_t i = 0; i < scratch_.size(); ++i) {
    if (i + kAhead < scratch_.size()) {
      classes_.prefetch_links(scratch_[i + kAhead]);
    }
    fix(scratch_[i], l, at(l).level);
  }
}

void FairShare::fix(std::int32_t c, std::int32_t owner, double level) {
  ClassTable::State& state = classes_[c];
  state.owner = owner;
  const auto noted = static_cast<std::size_t>(classes_.place[static_cast<std::size_t>(c)]);
  const double left = remaining_[noted];
  const double flows = state.weight;
  for (const std::int32_t l : classes_.links(c)) {
    free_of(l) -= flows * level;
    at(l).own -= flows;
  }
  owned_[static_cast<std::size_t>(owner)].append(
      {.target = left, .flow_class = c, .signature = classes_.signature(c)});
}

/// From the owners: heaps, flows owned, what others leave, and what is coupled.
void FairShare::couple() {
  for (std::size_t place = 1; place < order_.size(); ++place) {
    const std::int32_t l = order_[place];
    LinkState& link = at(l);
    OwnedHeap& heap = owned_[static_cast<std::size_t>(l)];
    scratch_.clear();
    std::int32_t own = 0;
    const auto owned = heap.entries();
    for (std::size_t i = 0; i < owned.size(); ++i) {
      if (i + 2 * kAhead < owned.size()) {
        classes_.prefetch(owned[i + 2 * kAhead].flow_class);
        classes_.prefetch_links(owned[i + kAhead].flow_class);
      }
      const OwnedClass& entry = owned[i];
      const std::int32_t flows = classes_[entry.flow_class].weight;
      own += flows;
      for (const std::int32_t other : classes_.links(entry.flow_class)) {
        if (!is_full(other) && !at(other).is_watched) {
          continue;
        }
        std::int32_t& count = count_[static_cast<std::size_t>(other)];
        if (count == 0) {
          scratch_.push_back(other);
        }
        count += flows;
      }
    }
    couplings(l).reserve(scratch_.size());
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
}

}  // namespace moesim
