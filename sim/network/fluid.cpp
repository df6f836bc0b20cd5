// SPDX-License-Identifier: Apache-2.0
#include "sim/network/fluid.hpp"

#include <algorithm>
#include <array>
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
      drain_now();
      solve_at_ = std::min(solve_at_, now_ + window_);
      return drained_;
    }
  }
}

/// Minimum over flat memory, in four chains so that it is not bound by the latency of one.
SimTime FluidSharing::next_drain() const {
  constexpr double kNever = std::numeric_limits<double>::infinity();
  const auto due = share_.due();
  std::array<double, 4> least{kNever, kNever, kNever, kNever};
  std::size_t i = 0;
  for (; i + least.size() <= due.size(); i += least.size()) {
    for (std::size_t j = 0; j < least.size(); ++j) {
      least[j] = due[i + j] < least[j] ? due[i + j] : least[j];
    }
  }
  for (; i < due.size(); ++i) {
    least[0] = std::min(least[0], due[i]);
  }
  const double first = *std::min_element(least.begin(), least.end());
  if (first == kNever) {
    return SimTime::never();
  }
  MOESIM_CHECK(first < 9.0e18, "clock overflow");
  return {std::max(now_.picoseconds, static_cast<std::int64_t>(first))};
}

void FluidSharing::drain_now() {
  const auto due = share_.due();
  const auto now = static_cast<double>(now_.picoseconds);
  for (std::size_t l = 0; l < due.size(); ++l) {
    if (due[l] <= now) {
      share_.drain(l, drained_);
    }
  }
  std::sort(drained_.begin(), drained_.end());
}

}  // namespace moesim
