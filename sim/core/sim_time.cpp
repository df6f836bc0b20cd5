// SPDX-License-Identifier: Apache-2.0
#include "sim/core/sim_time.hpp"

#include <fmt/core.h>

#include <cmath>

#include "sim/core/check.hpp"

namespace moesim {

SimTime ticks(Seconds duration) {
  constexpr double kLongest = 9.0e18;  // picoseconds, below 2^63
  const double picoseconds = duration.value * 1e12;
  MOESIM_CHECK(picoseconds >= 0.0 && picoseconds < kLongest,
               fmt::format("duration {} s is not in [0, 9e6]", duration.value));
  return {std::llround(picoseconds)};
}

SimTime after(SimTime now, Seconds duration) {
  const SimTime span = ticks(duration);
  MOESIM_CHECK(now.picoseconds <= SimTime::never().picoseconds - span.picoseconds,
               "clock overflow");
  return now + span;
}

}  // namespace moesim
