// SPDX-License-Identifier: Apache-2.0
// The tables behind PathFinder, over usable links or over all; used inside this folder only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "topology/gpu_ports.hpp"
#include "topology/hop_table.hpp"
#include "topology/paths.hpp"

namespace moesim {

struct PathQuery {
  GpuId source;
  GpuId target;
  PathPolicy policy = PathPolicy::kEcmp;
  PathScope scope = PathScope::kAny;
  bool by_destination = false;  ///< static choice instead of the hash
  std::uint64_t hash = 0;
  int max_paths = 1;
};

/// Paths are put together from three kinds of pieces: a scale-up hop, the ports of a GPU (PCIe and
/// NIC links), and a shortest path between two leaves.
class PathTables {
 public:
  using Links = std::vector<LinkId>;

  PathTables(const Cluster& cluster, LinkFilter filter);

  /// Up to max_paths paths, none when the two cannot reach each other.
  [[nodiscard]] std::vector<Links> find(const PathQuery& query) const;
  /// No NIC in the whole cluster.
  [[nodiscard]] bool has_no_nics() const { return rails_.empty(); }

 private:
  [[nodiscard]] std::optional<Links> scale_up(GpuId source,
                                              GpuId target,
                                              const PathQuery& query) const;
  [[nodiscard]] std::vector<Links> scale_out(GpuId source,
                                             GpuId target,
                                             const PathQuery& query) const;
  [[nodiscard]] std::vector<Links> rail_aligned(const PathQuery& query) const;
  [[nodiscard]] std::vector<Links> around_nics(const PathQuery& query) const;

  /// A pair of ports that joins two GPUs at the least number of links.
  struct PortPair {
    const NicPort* out = nullptr;
    const NicPort* in = nullptr;
  };
  [[nodiscard]] std::uint64_t links_between(const NicPort& out, const NicPort& in) const;
  [[nodiscard]] std::vector<PortPair> nearest_ports(GpuId source, GpuId target) const;
  [[nodiscard]] Links one_way(const PortPair& pair, const PathQuery& query) const;
  [[nodiscard]] Links numbered_way(const PortPair& pair, std::uint64_t number) const;
  [[nodiscard]] std::vector<Links> spread(const std::vector<PortPair>& pairs,
                                          const PathQuery& query) const;

  const Cluster& cluster_;
  HopTable fabric_;
  HostTrees hosts_;
  std::vector<GpuPorts> ports_;  ///< by GpuId
  Rails rails_;
  std::vector<std::vector<GpuId>> gpus_of_node_;
};

/// The links that are down between what `source` reaches and what leads to `target`: a cut that the
/// faults made. "a -> b, c -> d and 3 more"; "" when no link that is down lies between.
[[nodiscard]] std::string broken_cut(const Cluster& cluster,
                                     GpuId source,
                                     GpuId target,
                                     PathScope scope);

}  // namespace moesim
