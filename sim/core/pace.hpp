// SPDX-License-Identifier: Apache-2.0
// How long work tells whoever waits for it how far it is, and hears that it should end.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace moesim {

/// Called now and then, from any thread: what is being done, how much of it, and of how much (0:
/// not known). It may throw, which ends the work and leaves nothing half-made.
using Pace = std::function<void(std::string_view work, std::int64_t done, std::int64_t total)>;

inline void tell(const Pace& pace, std::string_view work, std::int64_t done, std::int64_t total) {
  if (pace) {
    pace(work, done, total);
  }
}

}  // namespace moesim
