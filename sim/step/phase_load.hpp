// SPDX-License-Identifier: Apache-2.0
// What one communication phase puts on the links, and how long it must take at least.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/moe/dispatch.hpp"
#include "sim/step/path_table.hpp"

namespace moesim {

/// Bytes over each link in one phase, and the longest a single flow must take.
struct PhaseLoad {
  std::vector<std::int64_t> link_bytes;
  std::vector<double> link_seconds;
  Seconds bound;
};

/// Loads and lower bound of one phase: max over links of bytes / capacity and over transfers of
/// bytes / slowest link + latency. Transfers start together at best.
/// @param before  a round of the same phase that comes first, or null
[[nodiscard]] PhaseLoad phase_load(const CommPlan& plan,
                                   const CommPlan* before,
                                   PathTable& paths,
                                   const std::vector<BytesPerSecond>& capacity);

}  // namespace moesim
