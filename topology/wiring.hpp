// SPDX-License-Identifier: Apache-2.0
// What the builders of hosts and of fabrics share; used inside this folder only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "topology/builders.hpp"
#include "topology/cluster.hpp"

namespace moesim {

/// What a cable carries, the same both ways.
struct Cable {
  LinkKind kind = LinkKind::kScaleUp;
  BytesPerSecond capacity;
  Seconds latency;
};

VertexId add_vertex(Cluster& cluster, VertexKind kind, std::string name, int node);
/// Two links, one each way.
void connect(Cluster& cluster, VertexId lower, VertexId upper, const Cable& cable);

/// GPUs and their domains, scale-up switches (or PCIe switches and sockets) and NICs with their
/// links. Returns the NICs at node * per_node + i.
std::vector<VertexId> add_hosts(Cluster& cluster, const ClusterSpec& spec);

/// One plane: its switches and their links, and the cables of the NICs to it.
/// @param prefix of every switch's name, "" or "plane0/"
void add_plane(Cluster& cluster,
               const ClusterSpec& spec,
               const FabricPlan& plan,
               const std::vector<VertexId>& nics,
               const std::string& prefix);

/// min(nodes, fabric.nodes_per_leaf); all nodes on a single switch, one in a torus.
[[nodiscard]] int nodes_per_leaf(const ClusterSpec& spec);

}  // namespace moesim
