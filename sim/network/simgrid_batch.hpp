// SPDX-License-Identifier: Apache-2.0
// A batch of flows on SimGrid at its fastest: the peer that bench/ measures our engine against.
#pragma once

#include <span>
#include <vector>

#include "sim/network/network.hpp"
#include "sim/network/workload.hpp"

namespace moesim {

enum class SimGridUpdates {
  kFull,  ///< re-solves all at each event: faster when all flows are joined
  kLazy,  ///< re-solves what an event touches: faster with many independent parts
};

struct SimGridRun {
  std::vector<SimTime> finish;  ///< per flow, in order
  double post_cpu_s = 0.0;      ///< user + system CPU until all actors have posted at time 0
  double run_cpu_s = 0.0;       ///< from there to the end
  std::int64_t peak_rss_bytes = 0;
};

/// Runs the flows in a child process with two actors a GPU (one sends, one receives) and a mailbox
/// a pair, which is SimGrid's fastest honest way: no list of all communications is ever walked.
/// Settings: CM02, no cross-traffic, link latency 0 (path latency is added to the finish, as in our
/// engine), sizes and capacities in 1/65536 byte.
///
/// @param pairs  of each flow; no pair twice
/// Throws EnvironmentError when SimGrid is not in this build or its process fails.
/// Valid for: flows without rate caps.
/// Checked by: simgrid_oracle_test (against the other driver and our engine).
[[nodiscard]] SimGridRun run_on_simgrid(std::span<const BytesPerSecond> capacity,
                                        std::span<const BatchFlow> flows,
                                        std::span<const PairBytes> pairs,
                                        SimGridUpdates updates);

}  // namespace moesim
