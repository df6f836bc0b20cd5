// SPDX-License-Identifier: Apache-2.0
// How each GPU reaches its scale-up switch and its NICs, and which rail it is on: the ends of
// paths.
#pragma once

#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "topology/cluster.hpp"
#include "topology/hop_table.hpp"

namespace moesim {

/// Shortest ways between vertices of one node over scale-up and PCIe links, never through a GPU or
/// a NIC. Immutable.
class HostTrees {
 public:
  HostTrees(const Cluster& cluster, LinkFilter filter);
  /// Links from a GPU to another; none when they are not joined.
  [[nodiscard]] std::optional<std::vector<LinkId>> find(VertexId source, VertexId target) const;
  /// Ways over PCIe links from a GPU to each NIC that it reaches (outward), or back; nearest first.
  [[nodiscard]] std::vector<std::pair<VertexId, std::vector<LinkId>>> ways_to_nics(
      VertexId gpu, bool outward) const;

 private:
  struct Search;
  std::vector<std::vector<LinkId>> from_;  ///< links inside hosts by source vertex
  std::vector<std::vector<LinkId>> into_;  ///< by target vertex
  const Cluster& cluster_;
};

/// A GPU's way to its scale-up switch, or back.
struct ScaleUpPort {
  LinkId link;
  VertexId scale_up_switch;
};

/// A GPU's way through one of its NICs to a leaf, or back. In a PCIe node the way to the NIC goes
/// through PCIe switches and maybe sockets.
struct NicPort {
  std::vector<LinkId> pcie;  ///< in order of travel
  VertexId nic;
  std::optional<LinkId> cable;  ///< NIC - leaf; none when all of them are down
  VertexId leaf;
};

struct PortsOneWay {
  std::vector<ScaleUpPort> scale_up;
  std::vector<NicPort> nic;
};

struct GpuPorts {
  PortsOneWay out;
  PortsOneWay in;
};

/// Ports over the links that the filter admits, by GpuId.
[[nodiscard]] std::vector<GpuPorts> collect_ports(const Cluster& cluster,
                                                  const HostTrees& hosts,
                                                  LinkFilter filter);

/// The rail of a GPU is the position of its nearest NIC (the first of several) among the NICs of
/// its node.
struct Rails {
  std::vector<std::vector<std::vector<GpuId>>> gpus_of_rail;  ///< [node][rail]
  std::vector<std::size_t> rail;                              ///< by GpuId
  std::vector<std::size_t> index_in_rail;                     ///< by GpuId, within its node

  /// No NIC in the whole cluster.
  [[nodiscard]] bool empty() const { return gpus_of_rail.empty(); }
  /// The GPU of the source's node on the target's rail, at the target's place among those of its
  /// rail; none when the node has no such rail.
  [[nodiscard]] std::optional<GpuId> relay(int source_node, GpuId target) const;
};
/// Faults do not move a GPU to another rail.
[[nodiscard]] Rails collect_rails(const Cluster& cluster);

}  // namespace moesim
