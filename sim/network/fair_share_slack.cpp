// SPDX-License-Identifier: Apache-2.0
// The watch over slack links: what is free of each, and which of them fill up.
#include <algorithm>

#include "sim/network/fair_share.hpp"

namespace moesim {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

}  // namespace

/// Has the link surveyed in this solve.
void FairShare::ask_check(std::int32_t l) {
  if (!at(l).is_asked) {
    at(l).is_asked = true;
    to_check_.push_back(l);
  }
}

/// More of a watched link is taken (or less, if negative).
void FairShare::take(std::int32_t l, double rate) {
  double& free = free_[static_cast<std::size_t>(l)];
  free -= rate;
  if (free < 0.0) {
    ask_check(l);
  }
}

/// Begins to watch a slack link: notes what is free and which owners' levels it depends on. A link
/// that all its flows together cannot fill, for what they can get elsewhere, needs no watch.
void FairShare::watch(std::int32_t l) {
  ++work_.checks;
  LinkState& link = at(l);
  double load = 0.0;
  double at_most = 0.0;
  ++survey_;
  scratch_.clear();
  for (const std::int32_t c : classes_.crossing(static_cast<std::size_t>(l))) {
    const auto i = static_cast<std::size_t>(c);
    const std::int32_t owner = classes_.owner[i];
    if (owner < 0) {
      continue;
    }
    const double flows = classes_.weight[i];
    load += at(owner).level * flows;
    double& count = count_[static_cast<std::size_t>(owner)];
    if (count == 0.0) {
      scratch_.push_back(owner);
    }
    count += flows;
    LinkState& narrowest = at(classes_.narrowest(c));
    if (narrowest.surveyed != survey_) {
      narrowest.surveyed = survey_;
      at_most += classes_.narrowest(c) == l ? kNever : narrowest.capacity;
    }
  }
  link.is_watched = at_most > link.capacity;
  for (const std::int32_t owner : scratch_) {
    double& count = count_[static_cast<std::size_t>(owner)];
    if (link.is_watched) {
      slack_couplings_[static_cast<std::size_t>(owner)].append(l, count);
    }
    count = 0.0;
  }
  free_[static_cast<std::size_t>(l)] = link.capacity - load;
}

void FairShare::unwatch(std::int32_t l) {
  if (at(l).is_watched) {
    at(l).is_watched = false;
    for (const std::int32_t c : classes_.crossing(static_cast<std::size_t>(l))) {
      const std::int32_t owner = classes_.owner[static_cast<std::size_t>(c)];
      if (owner >= 0) {
        slack_couplings_[static_cast<std::size_t>(owner)].erase(l);
      }
    }
  }
}

/// Watched links with nothing free left join the full ones.
void FairShare::check_slack() {
  for (std::size_t i = 0; i < to_check_.size(); ++i) {
    const std::int32_t l = to_check_[i];
    LinkState& link = at(l);
    link.is_asked = false;
    if (place_[static_cast<std::size_t>(l)] >= 0) {
      continue;
    }
    if (!link.is_watched) {
      watch(l);
    }
    if (free_[static_cast<std::size_t>(l)] < -kOverload * link.capacity) {
      enter(l);
    }
  }
  to_check_.clear();
}

}  // namespace moesim
