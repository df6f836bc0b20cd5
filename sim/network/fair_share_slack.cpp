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

/// More of a full or watched link is taken by other owners (or less, if negative).
void FairShare::take(std::int32_t l, double rate) {
  double& free = free_of(l);
  free -= rate;
  if (is_full(l)) {
    mark(l);
  } else if (free < 0.0) {
    ask_check(l);
  }
}

/// Begins to watch a slack link: notes what is free and couples it to the owners that it depends
/// on. A link that all its flows together cannot fill, for what they can get elsewhere, needs no
/// watch.
void FairShare::survey(std::int32_t l, bool must_watch) {
  ++work_.checks;
  LinkState& link = at(l);
  double load = 0.0;
  double at_most = 0.0;
  ++survey_;
  scratch_.clear();
  for (const std::int32_t c : classes_.crossing(static_cast<std::size_t>(l))) {
    const std::int32_t owner = classes_[c].owner;
    if (owner < 0) {
      continue;
    }
    const std::int32_t flows = classes_[c].weight;
    load += at(owner).level * flows;
    std::int32_t& count = count_[static_cast<std::size_t>(owner)];
    if (count == 0) {
      scratch_.push_back(owner);
    }
    count += flows;
    LinkState& narrowest = at(classes_.narrowest(c));
    if (narrowest.surveyed != survey_) {
      narrowest.surveyed = survey_;
      at_most += classes_.narrowest(c) == l ? kNever : narrowest.capacity;
    }
  }
  link.is_watched = must_watch || at_most > link.capacity;
  for (const std::int32_t owner : scratch_) {
    std::int32_t& count = count_[static_cast<std::size_t>(owner)];
    if (link.is_watched) {
      couplings(owner).append(l, count);
    }
    count = 0;
  }
  free_of(l) = link.capacity - load;
}

/// Watched links with nothing free left join the full ones.
void FairShare::check_slack() {
  for (std::size_t i = 0; i < to_check_.size(); ++i) {
    const std::int32_t l = to_check_[i];
    LinkState& link = at(l);
    link.is_asked = false;
    if (is_full(l)) {
      continue;
    }
    if (!link.is_watched) {
      survey(l, false);
    }
    if (link.is_watched && free_of(l) < -kOverload * link.capacity) {
      enter(l);
    }
  }
  to_check_.clear();
}

}  // namespace moesim
