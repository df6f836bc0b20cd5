// SPDX-License-Identifier: Apache-2.0
// The uneven all-to-all that the speed of network engines is measured on. A workload generator, no
// model of a router: routing sources are in sim/moe/routing.hpp.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "sim/core/ids.hpp"
#include "sim/network/network.hpp"

namespace moesim {

enum class WorkloadSizes {
  kTokens,    ///< whole copies: many flows of equal size
  kDistinct,  ///< every size made distinct
  kUniform,   ///< every flow gets the mean size
};

struct WorkloadSpec {
  int gpus = 0;  ///< a multiple of gpus_per_node
  int gpus_per_node = 8;
  int experts_per_gpu = 4;
  int tokens_per_gpu = 4096;
  int top_k = 8;      ///< distinct experts of a token
  double skew = 0.5;  ///< Zipf exponent of the experts' popularity, 0 = balanced
  Bytes copy_bytes = bytes(7168);
  WorkloadSizes sizes = WorkloadSizes::kTokens;
  bool aggregated = false;  ///< messages per (source node, target GPU) instead of per GPU pair
  std::uint64_t seed = 1;
};

/// Bytes from one GPU to another.
struct PairBytes {
  GpuId source;
  GpuId target;
  Bytes bytes;  ///< > 0
};

/// One dispatch of `spec`: what every GPU sends to every other, by (source, target).
///
///   popularity of the expert at place i of a random order  ~  (i + 1) ^ -skew
///   a token's top_k experts: drawn one after the other by popularity, a repeated one drawn again
///   bytes from s to t = copy_bytes * tokens of s with at least one expert on t
///
/// Aggregated: the copies from a node to GPU t leave from the node's GPU on t's rail (t's position
/// in its node), which gets them from its neighbours first; both hops start at once. About
/// gpus^2 / 8 + 6 gpus transfers for nodes of 8.
///
/// kDistinct adds to each size its own fraction of one copy; kUniform keeps the pairs and the sum.
/// Source: Zipf's law; per-token de-duplication and rail forwarding as in DeepEP's dispatch.
/// Valid for: tokens that choose independently; no hot spells, no capacity.
/// Checked by: workload_test.
[[nodiscard]] std::vector<PairBytes> make_workload(const WorkloadSpec& spec);

/// The links from one GPU to another.
using PathLookup = std::function<std::vector<LinkId>(GpuId source, GpuId target)>;

/// The transfers as flows that start at 0 with this latency.
[[nodiscard]] std::vector<BatchFlow> to_batch(std::span<const PairBytes> transfers,
                                              const PathLookup& path,
                                              Seconds latency);

}  // namespace moesim
