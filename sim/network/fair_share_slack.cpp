// SPDX-License-Identifier: Apache-2.0
// The watch over slack links: when could one fill up?
#include <algorithm>

#include "sim/network/fair_share.hpp"

namespace moesim {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

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

/// Says when to look at a slack link again: never, if all that its flows can get elsewhere fits.
/// True if it is overloaded.
bool FairShare::watch(std::int32_t l) {
  const double capacity = at(l).capacity;
  const Survey found = survey(l);
  double& trigger = trigger_[static_cast<std::size_t>(l)];
  trigger = found.at_most <= capacity
                ? kNever
                : rises_ + std::max(capacity - found.load, kOverload * capacity);
  next_check_ = std::min(next_check_, trigger);
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

/// A level has risen: the slack links that the owned classes cross have less left. Few classes are
/// walked; many count towards the common sum.
void FairShare::note_rise(std::int32_t l, double rise) {
  constexpr std::size_t kFew = 48;
  const OwnedHeap& heap = owned_[static_cast<std::size_t>(l)];
  if (heap.size() > kFew) {
    rises_ += rise * most_coupled(l);
    return;
  }
  for (const OwnedClass& entry : heap.entries()) {
    const double taken = rise * classes_.weight[static_cast<std::size_t>(entry.flow_class)];
    for (const std::int32_t other : classes_.links(entry.flow_class)) {
      double& trigger = trigger_[static_cast<std::size_t>(other)];
      trigger -= taken;  // infinite ones stay so
      next_check_ = std::min(next_check_, trigger);
    }
  }
}

/// Looks at the slack links whose time has come. Starts the sum of rises anew, so that it keeps its
/// digits.
void FairShare::check_slack() {
  const double rises = rises_;
  rises_ = 0.0;
  next_check_ = kNever;
  for (std::size_t i = 0; i < trigger_.size(); ++i) {
    trigger_[i] -= rises;
    if (trigger_[i] <= 0.0) {
      ++work_.checks;
      const auto l = static_cast<std::int32_t>(i);
      if (watch(l)) {
        enter(l);
      }
    }
    next_check_ = std::min(next_check_, trigger_[i]);
  }
}

}  // namespace moesim
