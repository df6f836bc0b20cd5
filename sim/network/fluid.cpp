// SPDX-License-Identifier: Apache-2.0
#include "sim/network/fluid.hpp"

#include <algorithm>
#include <limits>

#include "sim/core/check.hpp"

namespace moesim {

void FluidSharing::move_to(SimTime now) {
  now_ = now;
  share_.move_to(now.picoseconds);
}

std::span<const FlowId> FluidSharing::advance(SimTime limit) {
  MOESIM_CHECK(limit >= now_, "the clock would fall");
  drained_.clear();
  while (true) {
    if (share_.has_starts() || solve_at_ <= now_) {
      share_.solve();
      solve_at_ = SimTime::never();
    }
    const SimTime tick = next_drain();
    const SimTime next = std::min(tick, solve_at_);
    if (next > limit || next == SimTime::never()) {
      move_to(limit == SimTime::never() ? now_ : limit);
      return {};
    }
    move_to(next);
    if (tick == next) {
      share_.drain(drained_);
      std::sort(drained_.begin(), drained_.end());
      solve_at_ = std::min(solve_at_, now_ + window_);
      return drained_;
    }
  }
}

SimTime FluidSharing::next_drain() const {
  const double due = share_.next_due();
  if (due == std::numeric_limits<double>::infinity()) {
    return SimTime::never();
  }
  MOESIM_CHECK(due < 9.0e18, "clock overflow");
  return {std::max(now_.picoseconds, static_cast<std::int64_t>(due))};
}

}  // namespace moesim
