// SPDX-License-Identifier: Apache-2.0
// The simulation clock: whole picoseconds, so that sums are exact and simultaneous means equal.
#pragma once

#include <compare>
#include <cstdint>
#include <limits>

#include "sim/core/units.hpp"

namespace moesim {

/// An instant, or a span between two instants, in integer picoseconds (int64 spans 106 days).
struct SimTime {
  std::int64_t picoseconds = 0;

  constexpr auto operator<=>(const SimTime&) const = default;
  constexpr SimTime operator+(SimTime o) const { return {picoseconds + o.picoseconds}; }
  constexpr SimTime operator-(SimTime o) const { return {picoseconds - o.picoseconds}; }
  constexpr SimTime& operator+=(SimTime o) { return picoseconds += o.picoseconds, *this; }
  [[nodiscard]] constexpr Seconds to_seconds() const {
    return {static_cast<double>(picoseconds) / 1e12};
  }
  static constexpr SimTime never() { return {std::numeric_limits<std::int64_t>::max()}; }
};

/// A modelled duration as clock ticks, to the nearest picosecond.
/// Throws std::logic_error if it is negative, NaN or too long for the clock.
SimTime ticks(Seconds duration);

/// The only place where a modelled duration moves an instant: now + ticks(duration).
SimTime after(SimTime now, Seconds duration);

}  // namespace moesim
