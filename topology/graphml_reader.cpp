// SPDX-License-Identifier: Apache-2.0
#include "topology/graphml_reader.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>
#include <string>

#include "sim/core/text.hpp"
#include "topology/builders.hpp"
#include "topology/graphml_text.hpp"
#include "topology/graphml_values.hpp"

namespace moesim {
namespace {

class Reader {
 public:
  explicit Reader(const GraphmlGraph& graph) : graph_(graph) {}

  Cluster read() {
    read_vertices();
    if (cluster_.gpus.empty()) {
      refuse_graphml("no node is of kind gpu");
    }
    check_hosts();
    read_links();
    find_domains();
    return std::move(cluster_);
  }

 private:
  void read_vertices() {
    std::set<std::string> names;
    for (std::size_t i = 0; i < boost::num_vertices(graph_); ++i) {
      const GraphmlVertex& read = graph_[i];
      const std::string where =
          read.name.empty() ? fmt::format("node {}", i) : "node " + quoted_text(read.name);
      Vertex vertex;
      vertex.kind = graphml_vertex_kind(read.kind, where);
      vertex.name = read.name.empty() ? fmt::format("{}{}", to_text(vertex.kind), i) : read.name;
      if (!names.insert(vertex.name).second) {
        refuse_graphml(where + ": a second node of that name");
      }
      vertex.node = host_of(read, vertex.kind, where);
      if (vertex.kind == VertexKind::kGpu) {
        cluster_.gpus.push_back({.vertex = id_at<VertexId>(i), .node = vertex.node});
      }
      cluster_.vertices.push_back(std::move(vertex));
    }
  }

  static int host_of(const GraphmlVertex& read, VertexKind kind, const std::string& where) {
    constexpr double kMostHosts = 1e6;
    const bool on_host = kind == VertexKind::kGpu || kind == VertexKind::kNic;
    if (!on_host && (read.node.empty() || trimmed(read.node) == "-1")) {
      return -1;
    }
    const double host = graphml_number(read.node, "node", kMostHosts, where);
    if (host != std::floor(host)) {
      refuse_graphml(fmt::format("{}: node is {}, no whole number", where, host));
    }
    return static_cast<int>(host);
  }

  /// Hosts 0, 1, ... with equally many GPUs.
  void check_hosts() {
    std::map<int, int> gpus_of_host;
    for (const GpuPlace& gpu : cluster_.gpus) {
      ++gpus_of_host[gpu.node];
    }
    const int each = gpus_of_host.begin()->second;
    int expected = 0;
    for (const auto& [host, gpus] : gpus_of_host) {
      if (host != expected) {
        refuse_graphml(
            fmt::format("host {} has no GPU; hosts count from 0 without gaps", expected));
      }
      if (gpus != each) {
        refuse_graphml(fmt::format("host {} has {} GPUs, host 0 has {}", host, gpus, each));
      }
      ++expected;
    }
    for (const Vertex& vertex : cluster_.vertices) {
      if (vertex.node >= expected) {
        refuse_graphml(
            fmt::format("node {}: host {} has no GPU", quoted_text(vertex.name), vertex.node));
      }
    }
  }

  void read_links() {
    if (boost::num_edges(graph_) > static_cast<std::size_t>(kMaxLinks)) {
      refuse_graphml(fmt::format("more than {} links", kMaxLinks));
    }
    for (auto [edge, end] = boost::edges(graph_); edge != end; ++edge) {
      const GraphmlEdge& read = graph_[*edge];
      Link link;
      link.source = id_at<VertexId>(boost::source(*edge, graph_));
      link.target = id_at<VertexId>(boost::target(*edge, graph_));
      const std::string where = fmt::format("edge {} -> {}",
                                            cluster_.vertices[link.source.index()].name,
                                            cluster_.vertices[link.target.index()].name);
      constexpr double kMostRate = 1e18;
      link.kind = graphml_link_kind(read.kind, where);
      check_ends(cluster_, link, where);
      link.capacity = {graphml_number(read.capacity, "capacity_bytes_per_s", kMostRate, where)};
      link.latency = {graphml_number(read.latency, "latency_s", 1.0, where)};
      link.health = read.health.empty() ? 1.0 : graphml_number(read.health, "health", 1.0, where);
      if (!read.background.empty()) {
        link.background = {
            graphml_number(read.background, "background_bytes_per_s", kMostRate, where)};
      }
      if (link.capacity.value == 0) {
        refuse_graphml(where + ": capacity_bytes_per_s is 0; a link that is down has health 0");
      }
      if (link.background.value > 0 && link.usable().value <= 0) {
        refuse_graphml(where + ": background_bytes_per_s leaves nothing of capacity * health");
      }
      cluster_.links.push_back(link);
    }
  }

  /// The root of a vertex among those that scale-up switches join.
  std::size_t root(std::size_t vertex) {
    while (parent_[vertex] != vertex) {
      parent_[vertex] = parent_[parent_[vertex]];
      vertex = parent_[vertex];
    }
    return vertex;
  }

  void find_domains() {
    parent_.resize(cluster_.vertices.size());
    std::iota(parent_.begin(), parent_.end(), std::size_t{0});
    for (const Link& link : cluster_.links) {
      const auto is_nic = [&](VertexId end) {
        return cluster_.vertices[end.index()].kind == VertexKind::kNic;
      };
      const bool inside =
          link.kind == LinkKind::kScaleUp ||
          (link.kind == LinkKind::kPcie && !is_nic(link.source) && !is_nic(link.target));
      if (inside) {
        parent_[root(link.source.index())] = root(link.target.index());
      }
    }
    std::map<std::size_t, int> domain_of_root;
    std::vector<int> sizes;
    for (GpuPlace& gpu : cluster_.gpus) {
      const auto [at, is_new] =
          domain_of_root.emplace(root(gpu.vertex.index()), static_cast<int>(sizes.size()));
      if (is_new) {
        sizes.push_back(0);
      }
      gpu.domain = at->second;
      gpu.index_in_domain = sizes[static_cast<std::size_t>(gpu.domain)]++;
    }
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      if (sizes[i] != sizes[0]) {
        refuse_graphml(
            fmt::format("scale-up domain {} has {} GPUs, domain 0 has {}", i, sizes[i], sizes[0]));
      }
    }
    cluster_.num_domains = static_cast<int>(sizes.size());
    cluster_.gpus_per_domain = sizes.front();
  }

  const GraphmlGraph& graph_;
  Cluster cluster_;
  std::vector<std::size_t> parent_;
};

}  // namespace

Cluster read_graphml_cluster(std::string_view text) {
  const GraphmlGraph graph = parse_graphml(text);
  return Reader(graph).read();
}

}  // namespace moesim
