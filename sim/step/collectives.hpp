// SPDX-License-Identifier: Apache-2.0
// Time of ring collectives between copies of parameters, alone on the fabric.
#pragma once

#include <vector>

#include "sim/core/ids.hpp"
#include "sim/network/network.hpp"
#include "topology/cluster.hpp"
#include "topology/paths.hpp"

namespace moesim {

/// Where collectives run. The cluster and the finder outlive it.
struct RingFabric {
  const Cluster* cluster = nullptr;
  const PathFinder* finder = nullptr;
  std::vector<BytesPerSecond> capacity;
  NetworkEngine engine = NetworkEngine::kFluid;
  Seconds start;  ///< of one collective
};

/// A reduce-scatter or an all-gather of `size` in every group at the same time:
///   start + (D - 1) * longest hop latency + time of the flows,
/// D members; each member sends (D - 1) / D * size. As many rings as the group has members in a
/// scale-up domain share the bytes, each entering and leaving a domain through another GPU, the
/// same rail from domain to domain. An all-reduce is both. Zero for groups of one, or no bytes.
/// Source: ring algorithms (Patarasu and Yuan 2009) over NCCL-like channels. Valid for: sizes that
/// outlast the latency. Left out: trees, NVLS and SHARP. Checked by: train_step_test (by hand).
[[nodiscard]] Seconds ring_time(const RingFabric& fabric,
                                const std::vector<std::vector<GpuId>>& groups,
                                Bytes size);

}  // namespace moesim
