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
  kEcmp,         ///< shortest paths through the NICs
  kRailAligned,  ///< between domains: scale-up hop to the GPU of the source's node on the
                 ///< destination's rail, then that rail (PXN); kEcmp where there is no such hop or
                 ///< where its links are down; over any GPU of both nodes where a NIC is down
};

enum class PathScope {
  kAny,           ///< the scale-up network inside a domain, the fabric between domains
  kScaleOutOnly,  ///< through the NICs even inside a domain (pure RDMA kernels)
};

/// Which of the shortest paths the bytes take.
enum class PathChoice {
  kHash,      ///< per flow: one, by the flow's hash (ECMP)
  kStatic,    ///< per flow: one, by the destination (D-mod-k; dimension order in a torus)
  kSpray,     ///< per packet: an equal share on each
  kAdaptive,  ///< per packet: shares in proportion to each path's narrowest link
};

struct PathSpread {
  PathChoice choice = PathChoice::kHash;
  int max_paths = 8;  ///< of one transfer, with kSpray and kAdaptive
};

/// A path and the part of the bytes that takes it.
struct PathShare {
  Path path;
  double share = 1.0;  ///< (0, 1]; the shares of one pair sum to 1
};

/// Deterministic path choice. Immutable after construction, so threads may share one.
class PathFinder {
 public:
  /// Keeps a reference to `cluster`, which must outlive it.
  PathFinder(const Cluster& cluster, PathPolicy policy, std::uint64_t seed, PathSpread spread = {});
  ~PathFinder();
  PathFinder(const PathFinder&) = delete;
  PathFinder& operator=(const PathFinder&) = delete;

  /// One path; kSpray and kAdaptive choose as kHash does. Links of health 0 are not used. Throws
  /// UserError "no path from node0/gpu0 to node1/gpu0: ..." when the two cannot reach each other,
  /// and names the links that are down between what the source reaches and the target.
  [[nodiscard]] Path find(GpuId source,
                          GpuId target,
                          std::uint64_t flow_key,
                          PathScope scope = PathScope::kAny) const;

  /// All paths that share a transfer, at most spread.max_paths and different from each other:
  /// find() alone with kHash and kStatic. Of more shortest paths every n-th is taken, from a first
  /// one that the flow's hash chooses. Throws as find() does.
  [[nodiscard]] std::vector<PathShare> find_all(GpuId source,
                                                GpuId target,
                                                std::uint64_t flow_key,
                                                PathScope scope = PathScope::kAny) const;

 private:
  struct Tables;
  const Cluster& cluster_;
  PathPolicy policy_;
  std::uint64_t seed_;
  PathSpread spread_;
  std::unique_ptr<const Tables> tables_;
};

}  // namespace moesim
