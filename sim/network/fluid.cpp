// SPDX-License-Identifier: Apache-2.0
#include "sim/network/fluid.hpp"

#include <algorithm>
#include <limits>

#include "sim/core/check.hpp"

namespace moesim {
namespace {

/// A floor is lowered by this share: rates that are equal but for rounding stay on one side of it.
constexpr double kFloorMargin = 1e-9;

}  // namespace

FluidSharing::FluidSharing(std::span<const BytesPerSecond> capacity)
    : classes_(capacity.size()), link_marks_(capacity.size()) {
  capacity_.reserve(capacity.size());
  for (const BytesPerSecond c : capacity) {
    capacity_.push_back(c.value);
  }
}

void FluidSharing::note_change(const Change& change) {
  class_marks_[static_cast<std::size_t>(change.flow_class)].changed = instant_;
  changes_.push_back(change);
}

void FluidSharing::start(FlowId id, const Flow& flow) {
  const std::int32_t c = classes_.add(id, flow, now_);
  class_marks_.resize(classes_.size());
  note_change({.floor = std::numeric_limits<double>::infinity(), .flow_class = c, .started = true});
}

std::span<const FlowId> FluidSharing::advance(SimTime limit) {
  MOESIM_CHECK(limit >= now_, "the clock would fall");
  solve_changes();
  drained_.clear();
  const SimTime tick = next_drain_.next_tick();
  if (tick > limit || tick == SimTime::never()) {
    now_ = limit == SimTime::never() ? now_ : limit;
    return {};
  }
  now_ = tick;
  drain_at(tick);
  return drained_;
}

void FluidSharing::drain_at(SimTime tick) {
  while (next_drain_.next_tick() == tick) {
    const std::int32_t c = next_drain_.next_key();
    next_drain_.set(c, SimTime::never());
    note_change({.floor = classes_[c].rate, .flow_class = c, .started = false});
    classes_.drain(c, tick, drained_);
  }
  std::sort(drained_.begin(), drained_.end());
}

/// One solve for all changes of an instant, apart for each part of the network that they reach.
void FluidSharing::solve_changes() {
  if (changes_.empty()) {
    return;
  }
  for (Change& change : changes_) {
    if (change.started) {
      change.floor = least_rate(change.flow_class);
    }
    change.floor *= 1.0 - kFloorMargin;
  }
  // From the lowest floor up: what a change reaches includes all that a later one could add to it.
  std::sort(changes_.begin(), changes_.end());
  for (const Change& change : changes_) {
    reach(change);
    if (!reached_classes_.empty()) {
      build_system();
      apply_rates(solver_.solve(system_));
    }
  }
  changes_.clear();
  ++instant_;
}

/// What max-min fairness gives a flow of this class at the very least.
double FluidSharing::least_rate(std::int32_t c) {
  double least = classes_[c].rate_cap;
  for (const LinkId link : classes_.links(c)) {
    least =
        std::min(least, capacity_[link.index()] / static_cast<double>(classes_.num_flows(link)));
  }
  return least;
}

/// Collects the classes that the change can reach, the links between them, and what slower classes
/// leave of those links' capacity.
void FluidSharing::reach(const Change& change) {
  reached_classes_.clear();
  reached_links_.clear();
  system_.clear();
  if (classes_[change.flow_class].alive()) {
    reach_class(change.flow_class);
  } else {
    reach_links_of(change.flow_class);
  }
  for (std::size_t i = 0; i < reached_links_.size(); ++i) {
    cross_link(i, change.floor);
  }
}

void FluidSharing::reach_class(std::int32_t c) {
  ClassMark& mark = class_marks_[static_cast<std::size_t>(c)];
  if (mark.seen != instant_) {
    mark.seen = instant_;
    reached_classes_.push_back(c);
    reach_links_of(c);
  }
}

void FluidSharing::reach_links_of(std::int32_t c) {
  for (const LinkId link : classes_.links(c)) {
    LinkMark& mark = link_marks_[link.index()];
    if (mark.seen != instant_) {
      mark = {.seen = instant_, .local = static_cast<std::int32_t>(reached_links_.size())};
      reached_links_.push_back(link);
      system_.capacity.push_back(capacity_[link.index()]);
    }
  }
}

void FluidSharing::cross_link(std::size_t i, double floor) {
  for (const FlowClasses::Crossing& crossing : classes_.crossing(reached_links_[i])) {
    const ClassState& state = classes_[crossing.flow_class];
    const ClassMark& mark = class_marks_[static_cast<std::size_t>(crossing.flow_class)];
    if (state.rate >= floor || mark.changed == instant_) {
      reach_class(crossing.flow_class);
    } else {
      system_.capacity[i] -= state.rate * static_cast<double>(state.members.size());
    }
  }
}

void FluidSharing::build_system() {
  for (const std::int32_t c : reached_classes_) {
    for (const LinkId link : classes_.links(c)) {
      system_.class_links.push_back(link_marks_[link.index()].local);
    }
    system_.class_begin.push_back(static_cast<std::int32_t>(system_.class_links.size()));
    system_.num_flows.push_back(static_cast<double>(classes_[c].members.size()));
    system_.rate_cap.push_back(classes_[c].rate_cap);
  }
}

void FluidSharing::apply_rates(std::span<const double> rates) {
  for (std::size_t i = 0; i < rates.size(); ++i) {
    MOESIM_CHECK(rates[i] > 0.0, "a live flow has no rate");
    const std::int32_t c = reached_classes_[i];
    ClassState& state = classes_[c];
    const bool changed = class_marks_[static_cast<std::size_t>(c)].changed == instant_;
    if (rates[i] == state.rate && !changed) {
      continue;
    }
    if (rates[i] != state.rate) {
      state.served = state.served_at(now_);
      state.since = now_;
      state.rate = rates[i];
    }
    next_drain_.set(c, state.drain_tick(state.members.front()));
  }
}

}  // namespace moesim
