// SPDX-License-Identifier: Apache-2.0
// Times as results write them.
#pragma once

#include "sim/core/sim_time.hpp"

namespace moesim {

[[nodiscard]] inline double s(SimTime time) {
  return time.to_seconds().value;
}

}  // namespace moesim
