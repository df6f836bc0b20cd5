// SPDX-License-Identifier: Apache-2.0
// Flows that come and go: weights and clocks.
#include "sim/network/fair_share.hpp"

#include <algorithm>
#include <cmath>

#include "sim/core/check.hpp"

namespace moesim {
namespace {

constexpr std::int32_t kNone = -1;

}  // namespace

FairShare::FairShare(std::span<const BytesPerSecond> capacity) : classes_(capacity.size()) {
  outer_capacity_.reserve(capacity.size());
  for (const BytesPerSecond c : capacity) {
    outer_capacity_.push_back(c.value);
  }
}

void FairShare::make_room_for_links() {
  for (std::size_t l = links_.size(); l < classes_.num_links(); ++l) {
    links_.push_back({.capacity = classes_.capacity(l)});
    free_.push_back(classes_.capacity(l));
    place_.push_back(0);
    couplings_.emplace_back();
    owned_.emplace_back();
    due_.add();
    count_.push_back(0);
  }
}

void FairShare::drain(std::vector<FlowId>& drained) {
  const auto now = static_cast<double>(now_);
  std::size_t l = due_.find(now, 0);
  while (l < links_.size()) {
    drain(l, drained);
    l = due_.first() > now ? links_.size() : due_.find(now, l + 1);  // mostly one link is due
  }
}

void FairShare::start(FlowId id, const Flow& flow) {
  const std::int32_t c = classes_.find_or_make(flow, outer_capacity_);
  make_room_for_links();
  const double size = flow.bytes.value;
  has_starts_ = true;
  LinkState& narrowest = at(classes_.narrowest(c));
  ++narrowest.narrowed;
  narrowest.may_widen = true;
  const std::int32_t owner = classes_[c].owner;
  std::int32_t& members = classes_[c].members;
  if (owner < 0) {
    if (members == kNone) {
      members = ClassTable::alone(id);
      pend(c, size);
    } else {
      double& left =
          remaining_[static_cast<std::size_t>(classes_.place[static_cast<std::size_t>(c)])];
      join(c, left, size, id);
      left = std::min(left, size);
    }
    reweigh(c, 1);
    return;
  }
  LinkState& link = at(owner);
  OwnedHeap& heap = owned_[static_cast<std::size_t>(owner)];
  settle_clock(link);
  if (members == kNone) {  // the last one has drained and still holds its share
    members = ClassTable::alone(id);
    heap.push({.target = link.served + size, .flow_class = c, .signature = classes_.signature(c)},
              classes_.place);
  } else {
    const double left = heap.entry_of(c, classes_.place).target - link.served;
    join(c, left, size, id);
    heap.set_target(c, link.served + std::min(left, size), classes_.place);
  }
  update_due(owner);
  reweigh(c, 1);
}

/// One more member of a class whose first one has so much left.
void FairShare::join(std::int32_t c, double left, double size, FlowId id) {
  std::int32_t& members = classes_[c].members;
  if (ClassTable::is_alone(members)) {  // the class's service counts from now
    members = classes_.pool.add(kNone, left, ClassTable::flow_alone(members));
  }
  const double served = classes_.pool[members].finish - left;
  members = classes_.pool.add(members, served + size, id);
}

void FairShare::pend(std::int32_t c, double left) {
  classes_.place[static_cast<std::size_t>(c)] = static_cast<std::int32_t>(pending_.size());
  pending_.push_back(c);
  remaining_.push_back(left);
}

/// `change` more flows of a class hold a share.
void FairShare::reweigh(std::int32_t c, std::int32_t change) {
  classes_[c].weight += change;
  const std::int32_t owner = classes_[c].owner;
  const double flows = change;
  const double level = owner < 0 ? 0.0 : at(owner).level;
  if (owner >= 0) {
    at(owner).own += flows;
    mark(owner);
  }
  for (const std::int32_t l : classes_.links(c)) {
    LinkState& link = at(l);
    const double cap = classes_.cap(static_cast<std::size_t>(l));
    if (cap != kNever) {
      const double before = link.capacity;
      link.capacity = cap * classes_[c].weight;
      free_of(l) += link.capacity - before;
    }
    if (l == owner || owner < 0) {
      continue;
    }
    if (is_full(l) || link.is_watched) {
      couplings(owner).add(l, change);
      take(l, flows * level);
      if (change < 0) {
        ask_review(l);
      }
    } else if (change > 0 || cap != kNever) {
      ask_check(l);
    }
  }
  if (owner >= 0 && classes_[c].weight == 0) {
    classes_[c].owner = -1;
    --num_owned_;
    if (const std::int32_t last = classes_.links(c).back(); at(last).capacity == 0.0) {
      free_of(last) = 0.0;  // the class's own link: no rounding may overload it
    }
  }
}

void FairShare::drain(std::size_t l, std::vector<FlowId>& drained) {
  OwnedHeap& heap = owned_[l];
  const LinkState& link = links_[l];
  while (!heap.empty() && due_tick(link, heap.front().target) <= static_cast<double>(now_)) {
    const OwnedClass first = heap.front();
    std::int32_t& members = classes_[first.flow_class].members;
    released_.push_back(first.flow_class);
    if (ClassTable::is_alone(members)) {
      drained.push_back(ClassTable::flow_alone(members));
      members = kNone;
      heap.erase(first.flow_class, classes_.place);
      continue;
    }
    const Member gone = classes_.pool[members];
    members = classes_.pool.remove_first(members);
    drained.push_back(gone.flow);
    if (members == kNone) {
      heap.erase(first.flow_class, classes_.place);
    } else {
      heap.set_target(first.flow_class,
                      first.target + (classes_.pool[members].finish - gone.finish),
                      classes_.place);
    }
  }
  update_due(static_cast<std::int32_t>(l));
}

void FairShare::solve() {
  ++work_.solves;
  constexpr std::size_t kFew = 16;
  const std::size_t changes = released_.size() + pending_.size();
  if (changes >= kFew && 4 * changes >= static_cast<std::size_t>(num_owned_)) {
    forget_released();
    classes_.reserve_lists(pending_);
    for (const std::int32_t c : pending_) {
      classes_.list(c);
    }
    rebuild();
  } else {
    constexpr std::size_t kAhead = 4;
    for (std::size_t i = 0; i < released_.size(); ++i) {
      if (i + kAhead < released_.size()) {
        classes_.prefetch_links(released_[i + kAhead]);
      }
      --at(classes_.narrowest(released_[i])).narrowed;
      reweigh(released_[i], -1);
    }
    for (const std::int32_t c : pending_) {
      begin(c);
    }
  }
  released_.clear();
  pending_.clear();
  remaining_.clear();
  walk();
  while (!to_check_.empty()) {
    check_slack();
    walk();
  }
  review();
  has_starts_ = false;
}

void FairShare::remaining(std::span<double> left) const {
  std::vector<std::int32_t> nodes;
  for (std::size_t i = 0; i < classes_.size(); ++i) {
    const auto c = static_cast<std::int32_t>(i);
    const auto [owner, members, weight, first_hop] = classes_[c];
    if (members == kNone) {
      continue;
    }
    double first = 0.0;  // what the first member to drain has left
    if (owner < 0) {
      first = remaining_[static_cast<std::size_t>(classes_.place[i])];
    } else {
      const LinkState& link = links_[static_cast<std::size_t>(owner)];
      const double served =
          link.served + link.level * (static_cast<double>(now_ - link.since) * kSecondsPerTick);
      first = owned_[static_cast<std::size_t>(owner)].entry_of(c, classes_.place).target - served;
    }
    if (ClassTable::is_alone(members)) {
      left[ClassTable::flow_alone(members).index()] = std::max(0.0, first);
      continue;
    }
    const double least = classes_.pool[members].finish;
    nodes.assign(1, members);
    while (!nodes.empty()) {
      const Member& member = classes_.pool[nodes.back()];
      nodes.pop_back();
      left[member.flow.index()] = std::max(0.0, first + (member.finish - least));
      for (const std::int32_t next : {member.child, member.sibling}) {
        if (next != kNone) {
          nodes.push_back(next);
        }
      }
    }
  }
}

/// Lowers the weights without keeping the levels up to date: they are about to be built anew.
void FairShare::forget_released() {
  for (const std::int32_t c : released_) {
    --at(classes_.narrowest(c)).narrowed;
    --classes_[c].weight;
    if (classes_[c].weight == 0) {
      classes_[c].owner = -1;
    }
    const auto last = static_cast<std::size_t>(classes_.links(c).back());
    if (classes_.cap(last) != kNever) {
      links_[last].capacity = classes_.cap(last) * classes_[c].weight;
    }
  }
}

void FairShare::begin(std::int32_t c) {
  const double left =
      remaining_[static_cast<std::size_t>(classes_.place[static_cast<std::size_t>(c)])];
  classes_.list(c);
  std::int32_t owner = lowest_full_link(c);
  if (owner < 0) {
    owner = fill_one_link_of(c);
  }
  classes_[c].owner = owner;
  ++num_owned_;
  LinkState& link = at(owner);
  settle_clock(link);
  const std::int32_t flows = classes_[c].weight;
  classes_[c].weight = 0;
  reweigh(c, flows);
  owned_[static_cast<std::size_t>(owner)].push(
      {.target = link.served + left, .flow_class = c, .signature = classes_.signature(c)},
      classes_.place);
}

std::int32_t FairShare::lowest_full_link(std::int32_t c) {
  std::int32_t lowest = -1;
  for (const std::int32_t l : classes_.links(c)) {
    if (is_full(l) && (lowest < 0 || place_of(l) < place_of(lowest))) {
      lowest = l;
    }
  }
  return lowest;
}

/// A class that crosses no full link fills one: that with the least free capacity.
std::int32_t FairShare::fill_one_link_of(std::int32_t c) {
  std::int32_t least = -1;
  double least_free = kNever;
  for (const std::int32_t l : classes_.links(c)) {
    if (!at(l).is_watched) {
      survey(l, true);
    }
    const double free = free_of(l);
    if (free < least_free) {
      least_free = free;
      least = l;
    }
  }
  enter(least);
  return least;
}

}  // namespace moesim
