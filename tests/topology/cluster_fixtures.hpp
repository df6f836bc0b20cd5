// SPDX-License-Identifier: Apache-2.0
// Small clusters for the tests of this folder. Round numbers, chosen for arithmetic by hand.
#pragma once

#include <algorithm>
#include <string_view>

#include "topology/cluster.hpp"

namespace moesim {

/// 100 GB/s scale-up with 1 us, 10 GB/s NICs with 2 us, 20 GB/s PCIe, 10 GB/s leaf-spine links of
/// 0.3 us; one NIC per GPU.
inline ClusterSpec small_spec(FabricKind kind, int nodes, int gpus_per_node, int nodes_per_leaf) {
  ClusterSpec spec;
  spec.name = "small";
  spec.nodes = nodes;
  spec.gpus_per_node = gpus_per_node;
  spec.scale_up = {
      .nodes_per_domain = 1, .bandwidth = gigabytes_per_second(100), .latency = microseconds(1)};
  spec.nic = {.per_node = gpus_per_node,
              .bandwidth = gigabytes_per_second(10),
              .pcie_bandwidth = gigabytes_per_second(20),
              .latency = microseconds(2)};
  spec.fabric = {.kind = kind,
                 .nodes_per_leaf = nodes_per_leaf,
                 .oversubscription = 1.0,
                 .link_bandwidth = gigabytes_per_second(10),
                 .hop_latency = microseconds(0.3)};
  return spec;
}

inline std::ptrdiff_t count_vertices(const Cluster& cluster, VertexKind kind) {
  return std::count_if(cluster.vertices.begin(), cluster.vertices.end(), [&](const Vertex& v) {
    return v.kind == kind;
  });
}

inline std::ptrdiff_t count_links(const Cluster& cluster, LinkKind kind) {
  return std::count_if(
      cluster.links.begin(), cluster.links.end(), [&](const Link& l) { return l.kind == kind; });
}

/// Takes every link down whose name contains `part`; returns how many.
inline int take_down(Cluster& cluster, std::string_view part) {
  int count = 0;
  for (std::size_t i = 0; i < cluster.links.size(); ++i) {
    if (cluster.link_name(id_at<LinkId>(i)).find(part) != std::string::npos) {
      cluster.links[i].health = 0;
      ++count;
    }
  }
  return count;
}

}  // namespace moesim
