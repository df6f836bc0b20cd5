// SPDX-License-Identifier: Apache-2.0
#include "topology/summary.hpp"

#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/push_relabel_max_flow.hpp>

#include <cmath>
#include <cstdint>

#include "sim/core/check.hpp"

namespace moesim {
namespace {

using FlowTraits = boost::adjacency_list_traits<boost::vecS, boost::vecS, boost::directedS>;
struct Arc {
  std::int64_t capacity = 0;  ///< bytes/s
  std::int64_t residual = 0;
  FlowTraits::edge_descriptor reverse;
};
using FlowGraph =
    boost::adjacency_list<boost::vecS, boost::vecS, boost::directedS, boost::no_property, Arc>;

/// An arc and its reverse of capacity 0, as the max-flow algorithms want them.
void add_arc(FlowGraph& graph, std::size_t source, std::size_t target, std::int64_t capacity) {
  const auto forward = boost::add_edge(source, target, graph).first;
  const auto backward = boost::add_edge(target, source, graph).first;
  graph[forward].capacity = capacity;
  graph[forward].reverse = backward;
  graph[backward].reverse = forward;
}

std::int64_t whole_rate(BytesPerSecond rate) {
  return std::llround(rate.value);
}

bool in_first_half(const Cluster& cluster, const GpuPlace& gpu) {
  return gpu.domain < cluster.num_domains / 2;
}

/// The scale-out network, a super source (number vertices.size()) before the GPUs of the first half
/// and a super sink after those of the second. GPUs of the first half only send and the others only
/// receive, so none is passed through.
FlowGraph halves_graph(const Cluster& cluster) {
  const std::size_t super_source = cluster.vertices.size();
  const std::size_t super_sink = super_source + 1;
  FlowGraph graph(super_sink + 1);
  std::vector<std::int64_t> port_rate(cluster.vertices.size(), 0);
  std::vector<char> sends(cluster.vertices.size(), 0);
  for (const GpuPlace& gpu : cluster.gpus) {
    sends[gpu.vertex.index()] = in_first_half(cluster, gpu) ? 1 : 0;
  }
  for (const Link& link : cluster.links) {
    if (link.kind == LinkKind::kScaleUp) {
      continue;
    }
    const std::size_t source = link.source.index();
    const std::size_t target = link.target.index();
    const std::int64_t rate = whole_rate(link.capacity * link.health);
    const bool from_gpu = cluster.vertices[source].kind == VertexKind::kGpu;
    const bool to_gpu = cluster.vertices[target].kind == VertexKind::kGpu;
    if ((from_gpu && sends[source] == 0) || (to_gpu && sends[target] != 0)) {
      continue;
    }
    add_arc(graph, source, target, rate);
    if (from_gpu || to_gpu) {
      port_rate[from_gpu ? source : target] += rate;
    }
  }
  for (const GpuPlace& gpu : cluster.gpus) {
    const std::size_t vertex = gpu.vertex.index();
    const bool first = sends[vertex] != 0;
    add_arc(graph, first ? super_source : vertex, first ? vertex : super_sink, port_rate[vertex]);
  }
  return graph;
}

/// Adds a link's usable rate to the tier it injects into.
void add_to_tier(const Cluster& cluster, const Link& link, TopologySummary& summary) {
  const BytesPerSecond rate = link.capacity * link.health;
  const VertexKind source = cluster.vertices[link.source.index()].kind;
  if (source == VertexKind::kGpu) {
    (link.kind == LinkKind::kScaleUp ? summary.scale_up_injection : summary.pcie_injection) += rate;
  } else if (source == VertexKind::kNic && link.kind == LinkKind::kNic) {
    summary.nic_injection += rate;
  } else if (source == VertexKind::kLeaf && link.kind == LinkKind::kFabric) {
    summary.leaf_up += rate;
  }
}

}  // namespace

BytesPerSecond bisection(const Cluster& cluster) {
  MOESIM_CHECK(cluster.num_domains >= 2, "a bisection needs two domains");
  FlowGraph graph = halves_graph(cluster);
  const std::int64_t flow = boost::push_relabel_max_flow(graph,
                                                         cluster.vertices.size(),
                                                         cluster.vertices.size() + 1,
                                                         boost::get(&Arc::capacity, graph),
                                                         boost::get(&Arc::residual, graph),
                                                         boost::get(&Arc::reverse, graph),
                                                         boost::get(boost::vertex_index, graph));
  return {static_cast<double>(flow)};
}

TopologySummary summarise(const Cluster& cluster) {
  TopologySummary summary;
  for (const Vertex& vertex : cluster.vertices) {
    ++summary.vertices[static_cast<std::size_t>(vertex.kind)];
  }
  for (const Link& link : cluster.links) {
    ++summary.links[static_cast<std::size_t>(link.kind)];
    summary.links_down += link.health == 0 ? 1 : 0;
    summary.links_degraded += link.health > 0 && link.health < 1 ? 1 : 0;
    add_to_tier(cluster, link, summary);
  }
  if (summary.leaf_up.value > 0) {
    summary.oversubscription = summary.nic_injection / summary.leaf_up;
  }
  if (cluster.num_domains >= 2) {
    summary.bisection = bisection(cluster);
  }
  return summary;
}

}  // namespace moesim
