// SPDX-License-Identifier: Apache-2.0
#include "topology/summary.hpp"

#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/push_relabel_max_flow.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

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

/// What capacities are counted in, so that their sum fits into 64 bits: 1 byte/s but for absurd
/// rates.
BytesPerSecond flow_unit(const Cluster& cluster) {
  constexpr double kMaxSum = 1e18;
  BytesPerSecond sum;
  for (const Link& link : cluster.links) {
    sum += link.capacity;
  }
  return {std::max(1.0, sum.value / kMaxSum)};
}

/// By vertex: a GPU of a domain that sends.
std::vector<char> senders(const Cluster& cluster, const std::vector<char>& domain_sends) {
  std::vector<char> sends(cluster.vertices.size(), 0);
  for (const GpuPlace& gpu : cluster.gpus) {
    sends[gpu.vertex.index()] = domain_sends[static_cast<std::size_t>(gpu.domain)];
  }
  return sends;
}

/// The scale-out network, a super source (number vertices.size()) before the GPUs that send and a
/// super sink after the others. Senders only send and the others only receive, so no GPU is passed
/// through.
FlowGraph flow_graph(const Cluster& cluster,
                     BytesPerSecond unit,
                     const std::vector<char>& domain_sends) {
  const std::size_t super_source = cluster.vertices.size();
  const std::size_t super_sink = super_source + 1;
  const std::vector<char> sends = senders(cluster, domain_sends);
  const auto is_gpu = [&](VertexId vertex) {
    return cluster.vertices[vertex.index()].kind == VertexKind::kGpu;
  };
  const auto takes_part = [&](const Link& link) {
    const bool from_receiver = is_gpu(link.source) && sends[link.source.index()] == 0;
    const bool to_sender = is_gpu(link.target) && sends[link.target.index()] != 0;
    return link.kind != LinkKind::kScaleUp && !from_receiver && !to_sender;
  };
  FlowGraph graph(super_sink + 1);
  std::int64_t unlimited = 0;
  for (const Link& link : cluster.links) {
    if (takes_part(link)) {
      const std::int64_t rate = std::llround(link.usable() / unit);
      add_arc(graph, link.source.index(), link.target.index(), rate);
      unlimited += rate;
    }
  }
  for (const GpuPlace& gpu : cluster.gpus) {
    const std::size_t vertex = gpu.vertex.index();
    if (sends[vertex] != 0) {
      add_arc(graph, super_source, vertex, unlimited);
    } else {
      add_arc(graph, vertex, super_sink, unlimited);
    }
  }
  return graph;
}

/// Adds a link's usable rate to the tier it injects into.
void add_to_tier(const Cluster& cluster, const Link& link, TopologySummary& summary) {
  const BytesPerSecond rate = link.usable();
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

BytesPerSecond cut_capacity(const Cluster& cluster, const std::vector<char>& domain_sends) {
  MOESIM_CHECK(domain_sends.size() == static_cast<std::size_t>(cluster.num_domains),
               "every domain is on a side");
  const BytesPerSecond unit = flow_unit(cluster);
  FlowGraph graph = flow_graph(cluster, unit, domain_sends);
  const std::int64_t flow = boost::push_relabel_max_flow(graph,
                                                         cluster.vertices.size(),
                                                         cluster.vertices.size() + 1,
                                                         boost::get(&Arc::capacity, graph),
                                                         boost::get(&Arc::residual, graph),
                                                         boost::get(&Arc::reverse, graph),
                                                         boost::get(boost::vertex_index, graph));
  return unit * static_cast<double>(flow);
}

BytesPerSecond bisection(const Cluster& cluster) {
  MOESIM_CHECK(cluster.num_domains >= 2, "a bisection needs two domains");
  std::vector<char> sends(static_cast<std::size_t>(cluster.num_domains), 0);
  std::fill(sends.begin(), sends.begin() + cluster.num_domains / 2, 1);
  return cut_capacity(cluster, sends);
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
