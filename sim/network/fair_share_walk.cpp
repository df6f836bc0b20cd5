// SPDX-License-Identifier: Apache-2.0
// The walk that restores the levels.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "sim/core/check.hpp"
#include "sim/network/fair_share.hpp"

namespace moesim {
namespace {

/// Levels closer than this share are one: rounding must not make two links change places for ever.
constexpr double kSameLevel = 1e-12;

}  // namespace

void FairShare::mark(std::int32_t link) {
  const std::int32_t place = place_of(link);
  if (place > 0) {
    marked_[static_cast<std::size_t>(place)] = kChanged;
    first_marked_ = std::min(first_marked_, static_cast<std::size_t>(place));
  }
}

std::size_t FairShare::next_marked(std::size_t place) const {
  const std::size_t size = marked_.size();
  for (std::uint64_t eight = 0; place + sizeof(eight) <= size; place += sizeof(eight)) {
    std::memcpy(&eight, &marked_[place], sizeof(eight));
    if (eight != 0) {
      break;
    }
  }
  while (place < size && marked_[place] == kClean) {
    ++place;
  }
  return place;
}

void FairShare::walk() {
  std::size_t place = first_marked_;
  // Rounding could keep equal levels changing places; then, or when it is cheaper, start anew.
  const std::size_t patience = 100 * (order_.size() + 100);
  for (std::size_t step = 0; place < order_.size(); ++step) {
    if (step == patience) {
      rebuild();
      return;
    }
    first_marked_ = order_.size();
    if (marked_[place] == kChanged || falls(place, level_at(place))) {
      place = settle(place);
    } else if (marked_[place] == kPassed) {
      marked_[place] = kClean;
      ++place;  // what stands above it may have to pass it too
    } else {
      place = next_marked(place + 1);
    }
    place = std::min(place, first_marked_);
  }
  first_marked_ = order_.size();
}

/// What the link can give to each flow it owns. Infinite for one that owns nothing and is not
/// overloaded; minus infinity if it is overloaded.
double FairShare::level_of(std::int32_t l) const {
  const LinkState& link = links_[static_cast<std::size_t>(l)];
  const double free = free_[static_cast<std::size_t>(l)];
  if (link.own > 0.0) {
    return free / link.own;
  }
  return free < -kOverload * link.capacity ? -kNever : kNever;
}

/// Gives the link at this place its level and its place, and returns the place to go on from.
std::size_t FairShare::settle(std::size_t place) {
  ++work_.links_settled;
  const std::int32_t l = order_[place];
  LinkState& link = at(l);
  settle_clock(link);
  double level = level_of(l);
  if (falls(place, level)) {
    const std::size_t from = place;
    sink(l, place, level);
    // Those passed stand as before, but the highest of them has another link above it.
    marked_[from] = std::max(marked_[from], kPassed);
  } else if (rises(place, level) && !rise(l, place, level)) {
    return place;
  }
  marked_[place] = kClean;
  if (link.own == 0.0) {
    leave(l);
    return place;
  }
  pass_on(l, level);
  update_due(l);
  return place + 1;
}

/// Whether a link of this level belongs below the one that stands before this place.
bool FairShare::falls(std::size_t place, double level) const {
  return place > 1 && level < level_at(place - 1) * (1.0 - kSameLevel);
}

/// Whether a link of this level belongs above the one that stands after this place. One that has
/// yet to be settled comes down by itself.
bool FairShare::rises(std::size_t place, double level) const {
  return place + 1 < order_.size() && marked_[place + 1] != kChanged &&
         level_at(place + 1) < level * (1.0 - kSameLevel);
}

/// Moves a link down past those of a higher level, whose common classes it takes over.
void FairShare::sink(std::int32_t l, std::size_t& place, double& level) {
  do {
    const std::int32_t below = order_[place - 1];
    const bool took = couplings(below).may_have(l) && take_over(l, below);
    if (took) {
      level = level_of(l);
    }
    order_[place] = below;
    place_of(below) = static_cast<std::int32_t>(place);
    marked_[place] = took ? kChanged : marked_[place - 1];
    --place;
  } while (falls(place, level));
  order_[place] = l;
  place_of(l) = static_cast<std::int32_t>(place);
}

/// Moves a link up past those of a lower level, which take over the common classes before they hear
/// of its rise. False if one of them has to be settled first: that at `place`.
bool FairShare::rise(std::int32_t l, std::size_t& place, double& level) {
  do {
    const std::int32_t above = order_[place + 1];
    bool took = false;
    if (couplings(l).may_have(above)) {
      took = take_over(above, l);
      level = level_of(l);
    }
    order_[place] = above;
    place_of(above) = static_cast<std::int32_t>(place);
    order_[place + 1] = l;
    place_of(l) = static_cast<std::int32_t>(place + 1);
    marked_[place + 1] = kChanged;
    if (took || falls(place, at(above).level)) {
      marked_[place] = kChanged;
      return false;
    }
    marked_[place] = kClean;
    ++place;
  } while (at(l).own > 0.0 && rises(place, level));
  return true;
}

/// The classes of `from` that also cross `taker` get a new owner. False if there are none.
bool FairShare::take_over(std::int32_t taker, std::int32_t from) {
  std::int32_t to_find = couplings(from).flows(taker);
  if (to_find == 0) {
    return false;
  }
  scratch_.clear();
  const auto owned = owned_[static_cast<std::size_t>(from)].entries();
  const auto mark = classes_.mark_in_signatures(taker);
  for (const OwnedClass& entry : owned) {
    if (!mark || ClassTable::may_have(entry.signature, *mark)) {
      classes_.prefetch(entry.flow_class);
      scratch_.push_back(entry.flow_class);
    }
  }
  for (const std::int32_t c : scratch_) {
    classes_.prefetch_links(c);
  }
  settle_clock(at(from));  // not before: a clock that has moved needs a new due tick
  settle_clock(at(taker));
  for (const std::int32_t c : scratch_) {
    const auto path = classes_.links(c);
    if (std::find(path.begin(), path.end(), taker) != path.end()) {
      to_find -= classes_[c].weight;
      move_class(c, taker, from);
      if (to_find == 0) {
        break;
      }
    }
  }
  return true;
}

void FairShare::move_class(std::int32_t c, std::int32_t taker, std::int32_t from) {
  ++work_.takeovers;
  LinkState& to = at(taker);
  LinkState& old = at(from);
  OwnedHeap& old_heap = owned_[static_cast<std::size_t>(from)];
  OwnedClass entry = old_heap.entry_of(c, classes_.place);
  entry.target = to.served + (entry.target - old.served);
  old_heap.erase(c, classes_.place);
  owned_[static_cast<std::size_t>(taker)].push(entry, classes_.place);
  classes_[c].owner = taker;
  const std::int32_t flows = classes_[c].weight;
  if (to.own == 0.0) {
    to.level = old.level;
  }
  to.own += flows;
  free_of(taker) += flows * old.level;
  old.own -= flows;
  free_of(from) -= flows * to.level;
  const double rise = to.level - old.level;
  for (const std::int32_t l : classes_.links(c)) {
    if (!is_full(l) && !at(l).is_watched) {
      continue;
    }
    if (l != taker) {
      couplings(taker).add(l, flows);
    }
    if (l != from) {
      couplings(from).add(l, -flows);
    }
    if (l != taker && l != from) {
      take(l, flows * rise);
    }
  }
}

void FairShare::pass_on(std::int32_t l, double level) {
  LinkState& link = at(l);
  const double rise = level - link.level;
  if (rise == 0.0) {
    return;
  }
  link.level = level;
  // Full ones among them stand above l: a class is owned by the first full link on its path.
  const auto reached = couplings(l).entries();
  double* const frees = free_.data();
  const std::int32_t* const places = place_.data();
  Mark* const marks = marked_.data();
  for (const Couplings::Entry& entry : reached) {
    const std::int32_t place = places[entry.link];
    const double free = frees[entry.link] - entry.flows * rise;
    frees[entry.link] = free;
    marks[place] = kChanged;
    if (free < 0.0 && place == 0) [[unlikely]] {
      ask_check(entry.link);
    }
  }
  work_.updates += static_cast<std::int64_t>(reached.size());
}

/// A full link that owns nothing becomes slack, and stays coupled.
void FairShare::leave(std::int32_t l) {
  LinkState& link = at(l);
  for (auto p = static_cast<std::size_t>(place_of(l)); p + 1 < order_.size(); ++p) {
    order_[p] = order_[p + 1];
    marked_[p] = marked_[p + 1];
    place_of(order_[p]) = static_cast<std::int32_t>(p);
  }
  order_.pop_back();
  marked_.pop_back();
  place_of(l) = 0;
  link.level = 0.0;
  link.is_watched = true;  // its owners keep telling it
  ask_review(l);
  due_.set(static_cast<std::size_t>(l), kNever);
}

/// A watched link joins the order at its end; it owns nothing yet.
void FairShare::enter(std::int32_t l) {
  ++work_.entered;
  LinkState& link = at(l);
  link.is_watched = false;
  link.own = 0.0;
  link.level = 0.0;
  settle_clock(link);
  place_of(l) = static_cast<std::int32_t>(order_.size());
  order_.push_back(l);
  marked_.push_back(kClean);
  mark(l);
}

}  // namespace moesim
