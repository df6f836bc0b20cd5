// SPDX-License-Identifier: Apache-2.0
// How each GPU reaches its scale-up switch and its NICs, and which rail it is on: the ends of
// paths.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "topology/cluster.hpp"
#include "topology/hop_table.hpp"

namespace moesim {

/// A GPU's way to its scale-up switch, or back.
struct ScaleUpPort {
  LinkId link;
  VertexId scale_up_switch;
};

/// A GPU's way through one of its NICs to a leaf, or back.
struct NicPort {
  LinkId pcie;
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
[[nodiscard]] std::vector<GpuPorts> collect_ports(const Cluster& cluster, LinkFilter filter);

/// The rail of a GPU is the position of its first NIC among the NICs of its node.
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
