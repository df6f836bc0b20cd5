// SPDX-License-Identifier: Apache-2.0
// The walk that restores the levels.
#include <algorithm>
#include <cmath>

#include "sim/core/check.hpp"
#include "sim/network/fair_share.hpp"

namespace moesim {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
/// Levels closer than this share are one: rounding must not make two links change places for ever.
constexpr double kSameLevel = 1e-12;

}  // namespace

void FairShare::mark(std::int32_t link) {
  const std::int32_t place = place_[static_cast<std::size_t>(link)];
  if (place >= 0) {
    marked_[static_cast<std::size_t>(place)] = kChanged;
    first_marked_ = std::min(first_marked_, static_cast<std::size_t>(place));
  }
}

std::size_t FairShare::next_marked(std::size_t place) const {
  const auto from = marked_.begin() + static_cast<std::ptrdiff_t>(place);
  return static_cast<std::size_t>(
      std::find_if(from, marked_.end(), [](Mark m) { return m != kClean; }) - marked_.begin());
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
    const bool falls =
        place > 0 && at(order_[place]).level < at(order_[place - 1]).level * (1.0 - kSameLevel);
    if (marked_[place] == kChanged || falls) {
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
  const double free = link.capacity - foreign_[static_cast<std::size_t>(l)];
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
  while (place > 0) {
    const std::int32_t below = order_[place - 1];
    if (!(level < at(below).level * (1.0 - kSameLevel))) {
      break;
    }
    const bool took = take_over(l, below);
    if (took) {
      level = level_of(l);
    }
    order_[place] = below;
    place_[static_cast<std::size_t>(below)] = static_cast<std::int32_t>(place);
    marked_[place] = took || marked_[place - 1] == kChanged ? kChanged : kPassed;
    --place;
  }
  order_[place] = l;
  place_[static_cast<std::size_t>(l)] = static_cast<std::int32_t>(place);
  marked_[place] = kClean;
  if (link.own == 0.0) {
    leave(l);
    return place;
  }
  pass_on(l, level);
  update_due(l);
  return place + 1;
}

/// The classes of `from` that also cross `taker` get a new owner. False if there are none.
bool FairShare::take_over(std::int32_t taker, std::int32_t from) {
  if (!couplings_[static_cast<std::size_t>(from)].has(taker)) {
    return false;
  }
  scratch_.clear();
  for (const OwnedClass& entry : owned_[static_cast<std::size_t>(from)].entries()) {
    const auto path = classes_.links(entry.flow_class);
    if (std::find(path.begin(), path.end(), taker) != path.end()) {
      scratch_.push_back(entry.flow_class);
    }
  }
  settle_clock(at(from));
  for (const std::int32_t c : scratch_) {
    move_class(c, taker, from);
  }
  return true;
}

void FairShare::move_class(std::int32_t c, std::int32_t taker, std::int32_t from) {
  ++work_.takeovers;
  const auto i = static_cast<std::size_t>(c);
  LinkState& to = at(taker);
  LinkState& old = at(from);
  OwnedHeap& old_heap = owned_[static_cast<std::size_t>(from)];
  const double left = old_heap.target_of(c, classes_.place) - old.served;
  old_heap.erase(c, classes_.place);
  owned_[static_cast<std::size_t>(taker)].push({.target = to.served + left, .flow_class = c},
                                               classes_.place);
  classes_.owner[i] = taker;
  const double flows = classes_.weight[i];
  if (to.own == 0.0) {
    to.level = old.level;
  }
  to.own += flows;
  foreign_[static_cast<std::size_t>(taker)] -= flows * old.level;
  old.own -= flows;
  foreign_[static_cast<std::size_t>(from)] += flows * to.level;
  const double rise = to.level - old.level;
  for (const std::int32_t l : classes_.links(c)) {
    LinkState& link = at(l);
    if (place_[static_cast<std::size_t>(l)] < 0 && !link.is_watched) {
      continue;
    }
    auto& couplings = place_[static_cast<std::size_t>(l)] < 0 ? slack_couplings_ : couplings_;
    if (l != taker) {
      couplings[static_cast<std::size_t>(taker)].add(l, flows);
    }
    if (l != from) {
      couplings[static_cast<std::size_t>(from)].add(l, -flows);
    }
    if (place_[static_cast<std::size_t>(l)] < 0) {
      take(l, flows * rise);
    } else if (l != taker && l != from) {
      foreign_[static_cast<std::size_t>(l)] += flows * rise;
      mark(l);
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
  const Couplings& couplings = couplings_[static_cast<std::size_t>(l)];
  const auto reached = couplings.links();
  const auto flows = couplings.flows();
  // All of them stand above l: a class is owned by the first full link on its path.
  for (std::size_t i = 0; i < reached.size(); ++i) {
    const auto other = static_cast<std::size_t>(reached[i]);
    foreign_[other] += flows[i] * rise;
    marked_[static_cast<std::size_t>(place_[other])] = kChanged;
  }
  const Couplings& slack = slack_couplings_[static_cast<std::size_t>(l)];
  const auto slack_links = slack.links();
  const auto slack_flows = slack.flows();
  for (std::size_t i = 0; i < slack_links.size(); ++i) {
    double& free = free_[static_cast<std::size_t>(slack_links[i])];
    free -= slack_flows[i] * rise;
    if (free < 0.0) {
      ask_check(slack_links[i]);
    }
  }
  work_.updates += static_cast<std::int64_t>(reached.size());
  work_.slack_updates += static_cast<std::int64_t>(slack_links.size());
}

/// A full link that owns nothing becomes slack.
void FairShare::leave(std::int32_t l) {
  LinkState& link = at(l);
  for (std::size_t p = static_cast<std::size_t>(place_[static_cast<std::size_t>(l)]);
       p + 1 < order_.size();
       ++p) {
    order_[p] = order_[p + 1];
    marked_[p] = marked_[p + 1];
    place_[static_cast<std::size_t>(order_[p])] = static_cast<std::int32_t>(p);
  }
  order_.pop_back();
  marked_.pop_back();
  place_[static_cast<std::size_t>(l)] = -1;
  link.level = 0.0;
  set_due(static_cast<std::size_t>(l), kNever);
  for (const std::int32_t c : classes_.crossing(static_cast<std::size_t>(l))) {
    const std::int32_t owner = classes_.owner[static_cast<std::size_t>(c)];
    if (owner >= 0) {
      couplings_[static_cast<std::size_t>(owner)].erase(l);
    }
  }
  watch(l);
}

/// A slack link joins the order at its end; it owns nothing yet.
void FairShare::enter(std::int32_t l) {
  ++work_.entered;
  unwatch(l);
  LinkState& link = at(l);
  foreign_[static_cast<std::size_t>(l)] = 0.0;
  link.own = 0.0;
  link.level = 0.0;
  settle_clock(link);
  for (const std::int32_t c : classes_.crossing(static_cast<std::size_t>(l))) {
    const auto i = static_cast<std::size_t>(c);
    if (classes_.owner[i] >= 0) {
      const double flows = classes_.weight[i];
      couplings_[static_cast<std::size_t>(classes_.owner[i])].add(l, flows);
      foreign_[static_cast<std::size_t>(l)] += flows * at(classes_.owner[i]).level;
    }
  }
  place_[static_cast<std::size_t>(l)] = static_cast<std::int32_t>(order_.size());
  order_.push_back(l);
  marked_.push_back(kClean);
  mark(l);
}

}  // namespace moesim
