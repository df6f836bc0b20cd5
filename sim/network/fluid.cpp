// SPDX-License-Identifier: Apache-2.0
#include "sim/network/fluid.hpp"

#include <algorithm>
#include <bit>
#include <limits>

#include "sim/core/check.hpp"

namespace moesim {

namespace {

/// Sorts ids, each of which comes once. Many close ids are set as bits and read in order.
void sort_ids(std::vector<FlowId>& ids, std::vector<std::uint64_t>& bits) {
  constexpr std::size_t kMany = 64;
  if (ids.size() >= kMany) {
    const auto [first, last] = std::minmax_element(ids.begin(), ids.end());
    const std::int32_t base = first->value;
    const auto words = static_cast<std::size_t>(last->value - base) / 64 + 1;
    if (words <= 4 * ids.size()) {
      bits.assign(words, 0);
      for (const FlowId id : ids) {
        const auto i = static_cast<std::uint32_t>(id.value - base);
        bits[i / 64] |= std::uint64_t{1} << (i % 64);
      }
      std::size_t to = 0;
      for (std::size_t w = 0; w < words; ++w) {
        for (std::uint64_t left = bits[w]; left != 0; left &= left - 1) {
          ids[to++].value = base + static_cast<std::int32_t>(64 * w) + std::countr_zero(left);
        }
      }
      return;
    }
  }
  std::sort(ids.begin(), ids.end());
}

}  // namespace

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
      sort_ids(drained_, id_bits_);
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
