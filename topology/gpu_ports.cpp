// SPDX-License-Identifier: Apache-2.0
#include "topology/gpu_ports.hpp"

#include <algorithm>

#include "sim/core/check.hpp"

namespace moesim {
namespace {

bool is_kind(const Cluster& cluster, VertexId vertex, VertexKind kind) {
  return cluster.vertices[vertex.index()].kind == kind;
}

/// NIC - leaf links by the NIC's vertex.
struct NicCables {
  std::vector<std::vector<LinkId>> out;
  std::vector<std::vector<LinkId>> in;
};

NicCables collect_cables(const Cluster& cluster, LinkFilter filter) {
  NicCables cables{std::vector<std::vector<LinkId>>(cluster.vertices.size()),
                   std::vector<std::vector<LinkId>>(cluster.vertices.size())};
  for (std::size_t i = 0; i < cluster.links.size(); ++i) {
    const Link& link = cluster.links[i];
    if (link.kind == LinkKind::kNic && admits(filter, link)) {
      const bool outward = is_kind(cluster, link.source, VertexKind::kNic);
      auto& of_nic = outward ? cables.out[link.source.index()] : cables.in[link.target.index()];
      of_nic.push_back(id_at<LinkId>(i));
    }
  }
  return cables;
}

/// Adds the port behind a GPU's link to `other`. A NIC gives one port per cable, and one without a
/// cable when none is up, since it still joins the GPUs that share the NIC.
void add_ports(const Cluster& cluster,
               LinkId id,
               VertexId other,
               const std::vector<LinkId>& cables,
               PortsOneWay& ports) {
  if (cluster.link(id).kind == LinkKind::kScaleUp) {
    ports.scale_up.push_back({id, other});
    return;
  }
  if (cables.empty()) {
    ports.nic.push_back({id, other, std::nullopt, {}});
  }
  for (const LinkId cable : cables) {
    const Link& link = cluster.link(cable);
    ports.nic.push_back({id, other, cable, link.source == other ? link.target : link.source});
  }
}

std::vector<std::int32_t> gpu_of_vertices(const Cluster& cluster) {
  std::vector<std::int32_t> gpu_of_vertex(cluster.vertices.size(), -1);
  for (std::size_t gpu = 0; gpu < cluster.gpus.size(); ++gpu) {
    gpu_of_vertex[cluster.gpus[gpu].vertex.index()] = static_cast<std::int32_t>(gpu);
  }
  return gpu_of_vertex;
}

/// The NIC behind the first PCIe link of every vertex that has one.
std::vector<std::optional<VertexId>> first_nics(const Cluster& cluster) {
  std::vector<std::optional<VertexId>> nic_of_vertex(cluster.vertices.size());
  for (const Link& link : cluster.links) {
    if (link.kind == LinkKind::kPcie && is_kind(cluster, link.target, VertexKind::kNic) &&
        !nic_of_vertex[link.source.index()]) {
      nic_of_vertex[link.source.index()] = link.target;
    }
  }
  return nic_of_vertex;
}

}  // namespace

std::vector<GpuPorts> collect_ports(const Cluster& cluster, LinkFilter filter) {
  const NicCables cables = collect_cables(cluster, filter);
  const std::vector<std::int32_t> gpu_of_vertex = gpu_of_vertices(cluster);
  std::vector<GpuPorts> ports(cluster.gpus.size());
  for (std::size_t i = 0; i < cluster.links.size(); ++i) {
    const Link& link = cluster.links[i];
    const bool at_gpu = link.kind == LinkKind::kScaleUp || link.kind == LinkKind::kPcie;
    if (!at_gpu || !admits(filter, link)) {
      continue;
    }
    const auto id = id_at<LinkId>(i);
    const std::int32_t source = gpu_of_vertex[link.source.index()];
    const std::int32_t target = gpu_of_vertex[link.target.index()];
    MOESIM_CHECK((source >= 0) != (target >= 0), "one end of a GPU link is a GPU");
    if (source >= 0) {
      GpuPorts& gpu = ports[static_cast<std::size_t>(source)];
      add_ports(cluster, id, link.target, cables.out[link.target.index()], gpu.out);
    } else {
      GpuPorts& gpu = ports[static_cast<std::size_t>(target)];
      add_ports(cluster, id, link.source, cables.in[link.source.index()], gpu.in);
    }
  }
  return ports;
}

std::optional<GpuId> Rails::relay(int source_node, GpuId target) const {
  const auto node = static_cast<std::size_t>(source_node);
  const std::size_t target_rail = rail[target.index()];
  if (node >= gpus_of_rail.size() || target_rail >= gpus_of_rail[node].size()) {
    return std::nullopt;
  }
  const std::vector<GpuId>& relays = gpus_of_rail[node][target_rail];
  if (relays.empty()) {
    return std::nullopt;
  }
  return relays[index_in_rail[target.index()] % relays.size()];
}

Rails collect_rails(const Cluster& cluster) {
  Rails rails;
  std::vector<std::size_t> rail_of_nic(cluster.vertices.size(), 0);
  for (std::size_t i = 0; i < cluster.vertices.size(); ++i) {
    const Vertex& vertex = cluster.vertices[i];
    if (vertex.kind == VertexKind::kNic) {
      const auto node = static_cast<std::size_t>(vertex.node);
      rails.gpus_of_rail.resize(std::max(rails.gpus_of_rail.size(), node + 1));
      rail_of_nic[i] = rails.gpus_of_rail[node].size();
      rails.gpus_of_rail[node].emplace_back();
    }
  }
  const std::vector<std::optional<VertexId>> nic_of_vertex = first_nics(cluster);
  rails.rail.assign(cluster.gpus.size(), 0);
  rails.index_in_rail.assign(cluster.gpus.size(), 0);
  for (std::size_t gpu = 0; gpu < cluster.gpus.size(); ++gpu) {
    const GpuPlace& place = cluster.gpus[gpu];
    if (const std::optional<VertexId> nic = nic_of_vertex[place.vertex.index()]) {
      rails.rail[gpu] = rail_of_nic[nic->index()];
      auto& mates = rails.gpus_of_rail[static_cast<std::size_t>(place.node)][rails.rail[gpu]];
      rails.index_in_rail[gpu] = mates.size();
      mates.push_back(id_at<GpuId>(gpu));
    }
  }
  return rails;
}

}  // namespace moesim
