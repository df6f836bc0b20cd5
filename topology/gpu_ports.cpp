// SPDX-License-Identifier: Apache-2.0
#include "topology/gpu_ports.hpp"

#include <algorithm>

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

/// The first NIC by number among those at the fewest links.
VertexId nearest_nic(const std::vector<std::pair<VertexId, std::vector<LinkId>>>& ways) {
  VertexId nearest = ways.front().first;
  for (const auto& [nic, links] : ways) {
    if (links.size() == ways.front().second.size()) {
      nearest = std::min(nearest, nic);
    }
  }
  return nearest;
}

/// A NIC gives one port per cable, and one without a cable when none is up, since it still joins
/// the GPUs that share the NIC.
void add_nic_ports(const Cluster& cluster,
                   const HostTrees& hosts,
                   const NicCables& cables,
                   VertexId gpu,
                   GpuPorts& ports) {
  for (const bool outward : {true, false}) {
    PortsOneWay& one_way = outward ? ports.out : ports.in;
    for (auto& [nic, way] : hosts.ways_to_nics(gpu, outward)) {
      const std::vector<LinkId>& of_nic = (outward ? cables.out : cables.in)[nic.index()];
      if (of_nic.empty()) {
        one_way.nic.push_back({way, nic, std::nullopt, {}});
      }
      for (const LinkId cable : of_nic) {
        const Link& link = cluster.link(cable);
        one_way.nic.push_back({way, nic, cable, outward ? link.target : link.source});
      }
    }
  }
}

}  // namespace

std::vector<GpuPorts> collect_ports(const Cluster& cluster,
                                    const HostTrees& hosts,
                                    LinkFilter filter) {
  const NicCables cables = collect_cables(cluster, filter);
  std::vector<std::int32_t> gpu_of_vertex(cluster.vertices.size(), -1);
  std::vector<GpuPorts> ports(cluster.gpus.size());
  for (std::size_t gpu = 0; gpu < cluster.gpus.size(); ++gpu) {
    const VertexId vertex = cluster.gpus[gpu].vertex;
    gpu_of_vertex[vertex.index()] = static_cast<std::int32_t>(gpu);
    add_nic_ports(cluster, hosts, cables, vertex, ports[gpu]);
  }
  for (std::size_t i = 0; i < cluster.links.size(); ++i) {
    const Link& link = cluster.links[i];
    if (link.kind != LinkKind::kScaleUp || !admits(filter, link)) {
      continue;
    }
    const std::int32_t source = gpu_of_vertex[link.source.index()];
    const std::int32_t target = gpu_of_vertex[link.target.index()];
    if (source >= 0) {
      ports[static_cast<std::size_t>(source)].out.scale_up.push_back(
          {id_at<LinkId>(i), link.target});
    }
    if (target >= 0) {
      ports[static_cast<std::size_t>(target)].in.scale_up.push_back(
          {id_at<LinkId>(i), link.source});
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
  const HostTrees hosts(cluster, LinkFilter::kAll);
  rails.rail.assign(cluster.gpus.size(), 0);
  rails.index_in_rail.assign(cluster.gpus.size(), 0);
  for (std::size_t gpu = 0; gpu < cluster.gpus.size(); ++gpu) {
    const GpuPlace& place = cluster.gpus[gpu];
    const auto ways = hosts.ways_to_nics(place.vertex, true);
    if (!ways.empty()) {
      rails.rail[gpu] = rail_of_nic[nearest_nic(ways).index()];
      auto& mates = rails.gpus_of_rail[static_cast<std::size_t>(place.node)][rails.rail[gpu]];
      rails.index_in_rail[gpu] = mates.size();
      mates.push_back(id_at<GpuId>(gpu));
    }
  }
  return rails;
}

}  // namespace moesim
