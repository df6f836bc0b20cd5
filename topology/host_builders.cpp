// SPDX-License-Identifier: Apache-2.0
// The inside of nodes: GPUs, scale-up switches or PCIe trees, NICs.
#include <fmt/core.h>

#include <utility>

#include "topology/wiring.hpp"

namespace moesim {
namespace {

int domain_size(const ClusterSpec& spec) {
  switch (spec.scale_up.kind) {
    case ScaleUpKind::kSwitch:
      return spec.scale_up.bandwidth.value > 0 ? spec.gpus_per_node * spec.scale_up.nodes_per_domain
                                               : 1;
    case ScaleUpKind::kPcie:
      return spec.gpus_per_node;
    case ScaleUpKind::kNone:
      return 1;
  }
  return 1;
}

void add_gpus(Cluster& cluster, const ClusterSpec& spec) {
  cluster.gpus_per_domain = domain_size(spec);
  for (int node = 0; node < spec.nodes; ++node) {
    for (int i = 0; i < spec.gpus_per_node; ++i) {
      const VertexId vertex =
          add_vertex(cluster, VertexKind::kGpu, fmt::format("node{}/gpu{}", node, i), node);
      const int gpu = node * spec.gpus_per_node + i;
      cluster.gpus.push_back({.vertex = vertex,
                              .node = node,
                              .domain = gpu / cluster.gpus_per_domain,
                              .index_in_domain = gpu % cluster.gpus_per_domain});
    }
  }
  cluster.num_domains = static_cast<int>(cluster.gpus.size()) / cluster.gpus_per_domain;
}

void add_scale_up(Cluster& cluster, const ClusterSpec& spec) {
  if (cluster.gpus_per_domain == 1) {
    return;
  }
  const Cable cable{LinkKind::kScaleUp, spec.scale_up.bandwidth, spec.scale_up.latency / 2};
  const bool one_host = spec.scale_up.nodes_per_domain == 1;
  std::vector<VertexId> switches;
  switches.reserve(static_cast<std::size_t>(cluster.num_domains));
  for (int domain = 0; domain < cluster.num_domains; ++domain) {
    switches.push_back(add_vertex(cluster,
                                  VertexKind::kScaleUpSwitch,
                                  fmt::format("domain{}/switch", domain),
                                  one_host ? domain : -1));
  }
  for (const GpuPlace& gpu : cluster.gpus) {
    connect(cluster, gpu.vertex, switches[static_cast<std::size_t>(gpu.domain)], cable);
  }
}

/// PCIe switches of all nodes, at node * (switches of a node) + i; each joined to its GPUs and its
/// socket.
std::vector<VertexId> add_pcie_trees(Cluster& cluster, const ClusterSpec& spec) {
  const int per_node = spec.gpus_per_node / spec.scale_up.gpus_per_switch;
  const Cable lane{LinkKind::kPcie, spec.scale_up.bandwidth, spec.scale_up.latency / 2};
  const Cable between{LinkKind::kPcie, spec.scale_up.socket_bandwidth, lane.latency};
  std::vector<VertexId> switches;
  for (int node = 0; node < spec.nodes; ++node) {
    std::vector<VertexId> sockets;
    for (int i = 0; i < spec.scale_up.sockets; ++i) {
      const auto name = fmt::format("node{}/socket{}", node, i);
      sockets.push_back(add_vertex(cluster, VertexKind::kScaleUpSwitch, name, node));
    }
    for (int i = 0; i < per_node; ++i) {
      const auto name = fmt::format("node{}/pcie{}", node, i);
      switches.push_back(add_vertex(cluster, VertexKind::kScaleUpSwitch, name, node));
      const int socket = i * spec.scale_up.sockets / per_node;
      connect(cluster, switches.back(), sockets[static_cast<std::size_t>(socket)], lane);
    }
    if (sockets.size() == 2) {
      connect(cluster, sockets[0], sockets[1], between);
    }
  }
  for (std::size_t gpu = 0; gpu < cluster.gpus.size(); ++gpu) {
    const std::size_t behind = gpu / static_cast<std::size_t>(spec.scale_up.gpus_per_switch);
    connect(cluster, cluster.gpus[gpu].vertex, switches[behind], lane);
  }
  return switches;
}

std::vector<VertexId> add_nics(Cluster& cluster, const ClusterSpec& spec) {
  std::vector<VertexId> nics;
  for (int node = 0; node < spec.nodes; ++node) {
    for (int i = 0; i < spec.nic.per_node; ++i) {
      nics.push_back(
          add_vertex(cluster, VertexKind::kNic, fmt::format("node{}/nic{}", node, i), node));
    }
  }
  return nics;
}

/// Each GPU's own PCIe link to its NIC, or in PCIe nodes the NIC's link to the switch of its first
/// GPU.
void plug_nics(Cluster& cluster,
               const ClusterSpec& spec,
               const std::vector<VertexId>& nics,
               const std::vector<VertexId>& pcie_switches) {
  if (nics.empty()) {
    return;
  }
  const Cable pcie{LinkKind::kPcie, spec.nic.pcie_bandwidth, Seconds{}};
  const auto gpus_per_nic = static_cast<std::size_t>(spec.gpus_per_node / spec.nic.per_node);
  for (std::size_t nic = 0; !pcie_switches.empty() && nic < nics.size(); ++nic) {
    const auto per_switch = static_cast<std::size_t>(spec.scale_up.gpus_per_switch);
    connect(cluster, nics[nic], pcie_switches[nic * gpus_per_nic / per_switch], pcie);
  }
  for (std::size_t gpu = 0; pcie_switches.empty() && gpu < cluster.gpus.size(); ++gpu) {
    connect(cluster, cluster.gpus[gpu].vertex, nics[gpu / gpus_per_nic], pcie);
  }
}

}  // namespace

VertexId add_vertex(Cluster& cluster, VertexKind kind, std::string name, int node) {
  cluster.vertices.push_back({.kind = kind, .name = std::move(name), .node = node});
  return id_at<VertexId>(cluster.vertices.size() - 1);
}

void connect(Cluster& cluster, VertexId lower, VertexId upper, const Cable& cable) {
  for (const auto& [source, target] : {std::pair(lower, upper), std::pair(upper, lower)}) {
    cluster.links.push_back({.source = source,
                             .target = target,
                             .kind = cable.kind,
                             .capacity = cable.capacity,
                             .latency = cable.latency});
  }
}

std::vector<VertexId> add_hosts(Cluster& cluster, const ClusterSpec& spec) {
  add_gpus(cluster, spec);
  std::vector<VertexId> pcie_switches;
  if (spec.scale_up.kind == ScaleUpKind::kPcie) {
    pcie_switches = add_pcie_trees(cluster, spec);
  } else {
    add_scale_up(cluster, spec);
  }
  std::vector<VertexId> nics = add_nics(cluster, spec);
  plug_nics(cluster, spec, nics, pcie_switches);
  return nics;
}

}  // namespace moesim
