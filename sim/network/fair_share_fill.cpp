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
  remaining_.resize(classes_.size());
  for (const std::int32_t c : pending_) {
    const auto i = static_cast<std::size_t>(c);
    remaining_[i] = classes_.pool[classes_.members[i]].finish;
  }
  for (std::size_t l = 0; l < links_.size(); ++l) {
    LinkState& link = links_[l];
    settle_clock(link);
    for (const OwnedClass& entry : owned_[l].entries()) {
      const auto i = static_cast<std::size_t>(entry.flow_class);
      remaining_[i] = entry.target - link.served;
      classes_.owner[i] = -1;
      pending_.push_back(entry.flow_class);
    }
    owned_[l].clear();
    couplings_[l].clear();
    foreign_[l] = 0.0;
    link.own = 0.0;
    link.level = 0.0;
    link.served = 0.0;
    link.since = now_;
    place_[l] = -1;
    set_due(l, kNever);
    slack_couplings_[l].clear();
    link.is_watched = false;
  }
  order_.clear();
  num_owned_ = static_cast<std::int64_t>(pending_.size());
}

/// Capacity not yet given away, by flow not yet fixed. Uses `foreign` for what is given away and
/// `own` for the flows to fix.
double FairShare::share_of(std::int32_t l) const {
  const LinkState& link = links_[static_cast<std::size_t>(l)];
  return (link.capacity - foreign_[static_cast<std::size_t>(l)]) / link.own;
}

void FairShare::fill() {
  for (const std::int32_t c : pending_) {
    for (const std::int32_t l : classes_.links(c)) {
      at(l).own += classes_.weight[static_cast<std::size_t>(c)];
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
    place_[static_cast<std::size_t>(l)] = static_cast<std::int32_t>(order_.size());
    order_.push_back(l);
    for (const std::int32_t c : classes_.crossing(static_cast<std::size_t>(l))) {
      if (classes_.owner[static_cast<std::size_t>(c)] < 0) {
        fix(c, l, level);
      }
    }
  }
  marked_.assign(order_.size(), kClean);
  first_marked_ = order_.size();
}

void FairShare::fix(std::int32_t c, std::int32_t owner, double level) {
  const auto i = static_cast<std::size_t>(c);
  classes_.owner[i] = owner;
  owned_[static_cast<std::size_t>(owner)].append({.target = remaining_[i], .flow_class = c});
  const double flows = classes_.weight[i];
  for (const std::int32_t l : classes_.links(c)) {
    foreign_[static_cast<std::size_t>(l)] += flows * level;
    at(l).own -= flows;
  }
}

/// From the owners: heaps, flows owned, what others take, and what is coupled.
void FairShare::couple() {
  for (std::size_t l = 0; l < links_.size(); ++l) {
    LinkState& link = links_[l];
    if (place_[l] < 0) {
      continue;
    }
    scratch_.clear();
    double own = 0.0;
    for (const OwnedClass& entry : owned_[l].entries()) {
      const double flows = classes_.weight[static_cast<std::size_t>(entry.flow_class)];
      own += flows;
      for (const std::int32_t other : classes_.links(entry.flow_class)) {
        double& count = count_[static_cast<std::size_t>(other)];
        if (count == 0.0 && is_full(other)) {
          scratch_.push_back(other);
        }
        count += is_full(other) ? flows : 0.0;
      }
    }
    for (const std::int32_t other : scratch_) {
      if (other != static_cast<std::int32_t>(l)) {
        couplings_[l].append(other, count_[static_cast<std::size_t>(other)]);
      }
      count_[static_cast<std::size_t>(other)] = 0.0;
    }
    link.own = own;
    foreign_[l] -= own * link.level;
    owned_[l].make(classes_.place);
    update_due(static_cast<std::int32_t>(l));
  }
  for (std::size_t l = 0; l < links_.size(); ++l) {
    if (place_[l] < 0 && foreign_[l] > 0.0) {
      watch(static_cast<std::int32_t>(l));
    }
  }
}

}  // namespace moesim
