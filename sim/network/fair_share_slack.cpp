// SPDX-License-Identifier: Apache-2.0
// The watch over slack links: when could one fill up?
#include <algorithm>

#include "sim/network/fair_share.hpp"

namespace moesim {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
constexpr double kAtOnce = -kNever;

}  // namespace

/// What the flows of a slack link take of it, and whether they could ever fill it.
FairShare::Survey FairShare::survey(std::int32_t l) {
  Survey found;
  ++survey_;
  scratch_.clear();
  for (const std::int32_t c : classes_.crossing(static_cast<std::size_t>(l))) {
    const auto i = static_cast<std::size_t>(c);
    const std::int32_t owner = classes_.owner[i];
    if (owner < 0) {
      continue;
    }
    LinkState& from = at(owner);
    const double flows = classes_.weight[i];
    found.load += from.level * flows;
    double& count = count_[static_cast<std::size_t>(owner)];
    if (count == 0.0) {
      scratch_.push_back(owner);
    }
    count += flows;
    LinkState& narrowest = at(classes_.narrowest(c));
    if (narrowest.surveyed != survey_) {
      narrowest.surveyed = survey_;
      found.at_most += classes_.narrowest(c) == l ? kNever : narrowest.capacity;
    }
  }
  for (const std::int32_t owner : scratch_) {
    double& count = count_[static_cast<std::size_t>(owner)];
    at(owner).most_coupled = std::max(at(owner).most_coupled, count);
    count = 0.0;
  }
  return found;
}

void FairShare::set_trigger(std::int32_t l, double value) {
  double& trigger = trigger_[static_cast<std::size_t>(l)];
  num_watched_ += (value == kNever ? 0 : 1) - (trigger == kNever ? 0 : 1);
  trigger = value;
  next_check_ = std::min(next_check_, value);
}

/// Has the link looked at in this solve, whatever else is taken of it or given back before.
void FairShare::ask_check(std::int32_t l) {
  if (trigger_[static_cast<std::size_t>(l)] != kAtOnce) {
    set_trigger(l, kAtOnce);
    to_check_.push_back(l);
  }
}

/// More of a slack link is taken (or less, if negative).
void FairShare::take(std::int32_t l, double rate) {
  double& trigger = trigger_[static_cast<std::size_t>(l)];
  trigger -= rate;  // an infinite one stays so
  if (trigger <= rises_ && trigger != kAtOnce) {
    to_check_.push_back(l);
  }
  next_check_ = std::min(next_check_, trigger);
}

/// Says when to look at a slack link again: never, if all that its flows can get elsewhere fits.
/// True if it is overloaded.
bool FairShare::watch(std::int32_t l) {
  const double capacity = at(l).capacity;
  const Survey found = survey(l);
  set_trigger(l,
              found.at_most <= capacity
                  ? kNever
                  : rises_ + std::max(capacity - found.load, kOverload * capacity));
  return found.load > capacity * (1.0 + kOverload);
}

/// The most flows that the link owns and that cross one watched slack link, or somewhat more: an
/// upper bound that grows as classes come and is made exact when it has doubled.
double FairShare::most_coupled(std::int32_t l) {
  constexpr double kNotWorthIt = 4.0;
  LinkState& link = at(l);
  if (link.most_coupled > std::max(kNotWorthIt, link.most_allowed)) {
    double most = 0.0;
    scratch_.clear();
    for (const OwnedClass& entry : owned_[static_cast<std::size_t>(l)].entries()) {
      for (const std::int32_t other : classes_.links(entry.flow_class)) {
        const auto o = static_cast<std::size_t>(other);
        if (trigger_[o] != kNever) {
          scratch_.push_back(other);
          count_[o] += classes_.weight[static_cast<std::size_t>(entry.flow_class)];
          most = std::max(most, count_[o]);
        }
      }
    }
    for (const std::int32_t other : scratch_) {
      count_[static_cast<std::size_t>(other)] = 0.0;
    }
    link.most_coupled = most;
    link.most_allowed = 2.0 * most;
  }
  return std::min(link.most_coupled, link.own);
}

/// A level has changed, and with it what the owned classes take of slack links. Few classes are
/// walked; the rises of many count towards the common sum, and their falls are let pass.
void FairShare::note_change(std::int32_t l, double rise) {
  constexpr std::size_t kFew = 48;
  const OwnedHeap& heap = owned_[static_cast<std::size_t>(l)];
  if (heap.size() > std::min(kFew, num_watched_)) {
    rises_ += num_watched_ > 0 && rise > 0.0 ? rise * most_coupled(l) : 0.0;
    return;
  }
  for (const OwnedClass& entry : heap.entries()) {
    const double taken = rise * classes_.weight[static_cast<std::size_t>(entry.flow_class)];
    for (const std::int32_t other : classes_.links(entry.flow_class)) {
      if (trigger_[static_cast<std::size_t>(other)] != kNever) {
        take(other, taken);
      }
    }
  }
}

/// Looks at the slack links whose time has come, and then has the walk place those that are full.
void FairShare::check_slack() {
  for (std::size_t i = 0; i < to_check_.size(); ++i) {
    check(to_check_[i]);
  }
  to_check_.clear();
  if (rises_ < next_check_) {
    return;
  }
  // Starts the sum of rises anew, so that it keeps its digits.
  const double rises = rises_;
  rises_ = 0.0;
  next_check_ = kNever;
  for (std::size_t l = 0; l < trigger_.size(); ++l) {
    trigger_[l] -= rises;
    check(static_cast<std::int32_t>(l));
    next_check_ = std::min(next_check_, trigger_[l]);
  }
}

void FairShare::check(std::int32_t l) {
  if (trigger_[static_cast<std::size_t>(l)] <= rises_) {
    ++work_.checks;
    if (watch(l)) {
      enter(l);
    }
  }
}

}  // namespace moesim
