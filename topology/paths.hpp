// SPDX-License-Identifier: Apache-2.0
// Paths: the links from one GPU to another.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "topology/cluster.hpp"

namespace moesim {

struct Path {
  std::vector<LinkId> links;  ///< in order; empty from a GPU to itself
  Seconds latency;            ///< sum over the links
};

enum class PathPolicy {
  kEcmp,         ///< a shortest path, chosen among equals by the flow's hash
  kRailAligned,  ///< between domains: scale-up hop to the GPU of the source's node on the
                 ///< destination's rail, then that rail (PXN); kEcmp where there is no such hop or
                 ///< where its links are down
};

enum class PathScope {
  kAny,           ///< the scale-up network inside a domain, the fabric between domains
  kScaleOutOnly,  ///< through the NICs even inside a domain (pure RDMA kernels)
};

/// Deterministic path choice. Immutable after construction, so threads may share one.
class PathFinder {
 public:
  /// Keeps a reference to `cluster`, which must outlive it.
  PathFinder(const Cluster& cluster, PathPolicy policy, std::uint64_t seed);
  ~PathFinder();
  PathFinder(const PathFinder&) = delete;
  PathFinder& operator=(const PathFinder&) = delete;

  /// Links of health 0 are not used. Throws UserError "no path from node0/gpu0 to node1/gpu0: ..."
  /// when the two cannot reach each other.
  [[nodiscard]] Path find(GpuId source,
                          GpuId target,
                          std::uint64_t flow_key,
                          PathScope scope = PathScope::kAny) const;

 private:
  struct Tables;
  const Cluster& cluster_;
  PathPolicy policy_;
  std::uint64_t seed_;
  std::unique_ptr<const Tables> tables_;
};

}  // namespace moesim
