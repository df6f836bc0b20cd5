// SPDX-License-Identifier: Apache-2.0
// The watch over slack links: what is free of each, and which of them fill up.
#include <algorithm>

#include "sim/network/fair_share.hpp"

namespace moesim {

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

/// False if the flows on the link cannot bring as much as it carries through what is narrower
/// elsewhere on their paths, together.
bool FairShare::can_fill(std::int32_t l) {
  if (at(l).narrowed > 0) {
    return true;
  }
  double at_most = 0.0;
  ++survey_;
  for (const std::int32_t c : classes_.listed(static_cast<std::size_t>(l))) {
    LinkState& narrowest = at(classes_.narrowest(c));
    if (classes_[c].weight > 0 && narrowest.surveyed != survey_) {
      narrowest.surveyed = survey_;
      at_most += narrowest.capacity;
      if (at_most > at(l).capacity) {
        return true;
      }
    }
  }
  return false;
}

/// Leaves the owners of what crosses the link in scratch_, with their flows in count_. Returns the
/// load.
double FairShare::count_owners(std::int32_t l) {
  double load = 0.0;
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
  }
  return load;
}

/// Begins to watch a slack link: notes what is free and couples it to the owners that it depends
/// on. A link that all its flows together cannot fill, for what they can get elsewhere, needs no
/// watch.
void FairShare::survey(std::int32_t l, bool must_watch) {
  ++work_.checks;
  LinkState& link = at(l);
  link.is_watched = must_watch || can_fill(l);
  if (!link.is_watched) {
    return;
  }
  free_of(l) = link.capacity - count_owners(l);
  for (const std::int32_t owner : scratch_) {
    std::int32_t& count = count_[static_cast<std::size_t>(owner)];
    couplings(owner).append(l, count);
    count = 0;
  }
}

/// Has a watched link looked at after the solve if the last flow that crosses no narrower link has
/// gone since it was looked at before.
void FairShare::ask_review(std::int32_t l) {
  LinkState& link = at(l);
  if (link.is_watched && link.may_widen && link.narrowed == 0) {
    link.may_widen = false;
    to_review_.push_back(l);
  }
}

/// Ends the watch over links that what is left of their flows cannot fill any more.
void FairShare::review() {
  for (const std::int32_t l : to_review_) {
    LinkState& link = at(l);
    if (!link.is_watched) {
      continue;
    }
    ++work_.reviews;
    link.is_watched = can_fill(l);
    if (link.is_watched) {
      continue;
    }
    count_owners(l);
    for (const std::int32_t owner : scratch_) {
      std::int32_t& count = count_[static_cast<std::size_t>(owner)];
      couplings(owner).add(l, -count);
      count = 0;
    }
  }
  to_review_.clear();
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
