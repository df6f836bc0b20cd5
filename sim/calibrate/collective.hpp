// SPDX-License-Identifier: Apache-2.0
// Points of collective all-to-alls, from whatever file told of them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/calibrate/point.hpp"
#include "sim/calibrate/reading.hpp"

namespace moesim::calibrate {

/// Smaller all-to-alls of NCCL start faster and move slower (its LL protocols); the model has one
/// start, so they are not fitted.
inline constexpr double kSmallestCollective = 1024.0 * 1024.0;
inline constexpr int kMostRanks = 64;  ///< of a fit: one flow a pair, hundreds of evaluations
inline constexpr const char* kTooSmallCollective =
    "an all-to-all below 1 MiB: NCCL runs another protocol there";

/// One timed all-to-all. `bytes` is one rank's whole send buffer, its own part included, as
/// nccl-tests counts it: every rank sends bytes / ranks to every other. With `send_bytes`, row by
/// row of senders, an all-to-all-v of those bytes; `bytes` is then the mean over senders.
struct AllToAll {
  std::string place;
  std::string source;
  int ranks = 0;
  double bytes = 0;
  Seconds time;
  std::vector<std::int64_t> send_bytes;
};

/// Kernel "nccl".
[[nodiscard]] Point all_to_all_point(Hardware& hardware, const AllToAll& measured);

}  // namespace moesim::calibrate
