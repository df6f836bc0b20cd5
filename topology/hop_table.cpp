// SPDX-License-Identifier: Apache-2.0
#include "topology/hop_table.hpp"

#include <boost/graph/breadth_first_search.hpp>
#include <boost/graph/compressed_sparse_row_graph.hpp>
#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/core/diagnostics.hpp"

namespace moesim {
namespace {

using ReversedGraph = boost::compressed_sparse_row_graph<boost::directedS>;

bool is_fabric_switch(const Vertex& vertex) {
  return vertex.kind == VertexKind::kLeaf || vertex.kind == VertexKind::kSpine ||
         vertex.kind == VertexKind::kCore;
}

}  // namespace

bool admits(LinkFilter filter, const Link& link) {
  return filter == LinkFilter::kAll || link.health > 0;
}

HopTable::HopTable(const Cluster& cluster, LinkFilter filter) {
  number_switches(cluster);
  check_table_size();
  collect_hops(cluster, filter);
  measure_distances();
}

void HopTable::number_switches(const Cluster& cluster) {
  switch_of_vertex_.assign(cluster.vertices.size(), -1);
  exit_of_vertex_.assign(cluster.vertices.size(), -1);
  for (std::size_t i = 0; i < cluster.vertices.size(); ++i) {
    if (is_fabric_switch(cluster.vertices[i])) {
      switch_of_vertex_[i] = static_cast<std::int32_t>(switches_.size());
      switches_.push_back(id_at<VertexId>(i));
    }
  }
  for (const Link& link : cluster.links) {
    std::int32_t& exit = exit_of_vertex_[link.source.index()];
    if (link.kind == LinkKind::kNic && switch_of_vertex_[link.source.index()] >= 0 && exit < 0) {
      exit = static_cast<std::int32_t>(exits_.size());
      exits_.push_back(switch_of_vertex_[link.source.index()]);
    }
  }
}

void HopTable::check_table_size() const {
  const double table_bytes = static_cast<double>(exits_.size()) *
                             static_cast<double>(switches_.size()) * sizeof(std::uint16_t);
  if (table_bytes > static_cast<double>(kMaxTableBytes)) {
    throw UserError(
        fmt::format("path tables of {} leaves and {} switches would need {:.3g} GB, at most {:.3g} "
                    "GB are allowed; raise fabric.nodes_per_leaf",
                    exits_.size(),
                    switches_.size(),
                    table_bytes * 1e-9,
                    static_cast<double>(kMaxTableBytes) * 1e-9));
  }
}

void HopTable::collect_hops(const Cluster& cluster, LinkFilter filter) {
  const auto takes_part = [&](const Link& link) {
    return link.kind == LinkKind::kFabric && admits(filter, link);
  };
  first_hop_.assign(switches_.size() + 1, 0);
  for (const Link& link : cluster.links) {
    if (takes_part(link)) {
      MOESIM_CHECK(switch_of_vertex_[link.source.index()] >= 0 &&
                       switch_of_vertex_[link.target.index()] >= 0,
                   "a fabric link joins two switches");
      ++first_hop_[static_cast<std::size_t>(switch_of_vertex_[link.source.index()]) + 1];
    }
  }
  for (std::size_t i = 1; i < first_hop_.size(); ++i) {
    first_hop_[i] += first_hop_[i - 1];
  }
  hops_.resize(static_cast<std::size_t>(first_hop_.back()));
  std::vector<std::int32_t> next(first_hop_.begin(), first_hop_.end() - 1);
  for (std::size_t i = 0; i < cluster.links.size(); ++i) {
    const Link& link = cluster.links[i];
    if (takes_part(link)) {
      auto& slot = next[static_cast<std::size_t>(switch_of_vertex_[link.source.index()])];
      hops_[static_cast<std::size_t>(slot++)] = {id_at<LinkId>(i),
                                                 switch_of_vertex_[link.target.index()]};
    }
  }
}

void HopTable::measure_distances() {
  std::vector<std::pair<std::size_t, std::size_t>> reversed;
  for (std::size_t source = 0; source < switches_.size(); ++source) {
    for (const Hop& hop : hops_from(static_cast<std::int32_t>(source))) {
      reversed.emplace_back(static_cast<std::size_t>(hop.target), source);
    }
  }
  const ReversedGraph graph(boost::edges_are_unsorted_multi_pass,
                            reversed.begin(),
                            reversed.end(),
                            static_cast<std::uint32_t>(switches_.size()));
  distance_.assign(exits_.size() * switches_.size(), kUnreachable);
  for (std::size_t i = 0; i < exits_.size(); ++i) {
    std::uint16_t* const row = distance_.data() + i * switches_.size();
    const auto exit = static_cast<std::size_t>(exits_[i]);
    row[exit] = 0;
    boost::breadth_first_search(graph,
                                exit,
                                boost::visitor(boost::make_bfs_visitor(
                                    boost::record_distances(row, boost::on_tree_edge()))));
  }
}

std::span<const HopTable::Hop> HopTable::hops_from(std::int32_t switch_number) const {
  const auto i = static_cast<std::size_t>(switch_number);
  const auto begin = static_cast<std::size_t>(first_hop_[i]);
  const auto end = static_cast<std::size_t>(first_hop_[i + 1]);
  return std::span(hops_).subspan(begin, end - begin);
}

std::span<const std::uint16_t> HopTable::distances_to(VertexId exit) const {
  const std::int32_t number = exit_of_vertex_[exit.index()];
  MOESIM_CHECK(number >= 0, "distances are kept to switches with NICs only");
  return std::span(distance_).subspan(static_cast<std::size_t>(number) * switches_.size(),
                                      switches_.size());
}

std::uint16_t HopTable::hops(VertexId from, VertexId exit) const {
  const std::int32_t number = switch_of_vertex_[from.index()];
  MOESIM_CHECK(number >= 0, "hops are counted from a fabric switch");
  return distances_to(exit)[static_cast<std::size_t>(number)];
}

void HopTable::append_path(VertexId from,
                           VertexId exit,
                           const NextHop& next,
                           std::vector<LinkId>& links) const {
  const std::span<const std::uint16_t> distance = distances_to(exit);
  std::int32_t at = switch_of_vertex_[from.index()];
  for (std::uint16_t left = hops(from, exit); left > 0; --left) {
    MOESIM_CHECK(left != kUnreachable, "a path is asked for between switches that are joined");
    const auto leads_nearer = [&](const Hop& hop) {
      return distance[static_cast<std::size_t>(hop.target)] == left - 1;
    };
    const std::span<const Hop> all = hops_from(at);
    std::uint64_t equals = 0;
    for (const Hop& hop : all) {
      equals += leads_nearer(hop) ? 1U : 0U;
    }
    std::uint64_t skip = next(switches_[static_cast<std::size_t>(at)], equals);
    for (const Hop& hop : all) {
      if (leads_nearer(hop) && skip-- == 0) {
        links.push_back(hop.link);
        at = hop.target;
        break;
      }
    }
  }
}

/// Shortest paths from each switch on the way to one exit, counted once a switch.
struct HopTable::Counts {
  const HopTable& table;
  std::span<const std::uint16_t> distance;
  std::map<std::int32_t, std::uint64_t> known;

  [[nodiscard]] bool leads_nearer(std::int32_t from, const Hop& hop) const {
    return distance[static_cast<std::size_t>(hop.target)] + 1 ==
           distance[static_cast<std::size_t>(from)];
  }
  /// As deep as the fabric is wide.
  std::uint64_t of(std::int32_t from) {
    if (distance[static_cast<std::size_t>(from)] == 0) {
      return 1;
    }
    if (const auto found = known.find(from); found != known.end()) {
      return found->second;
    }
    std::uint64_t count = 0;
    for (const Hop& hop : table.hops_from(from)) {
      if (leads_nearer(from, hop)) {
        count = std::min(kMaxCount, count + of(hop.target));
      }
    }
    return known[from] = count;
  }
};

std::uint64_t HopTable::count_paths(VertexId from, VertexId exit) const {
  if (hops(from, exit) == kUnreachable) {
    return 0;
  }
  return Counts{*this, distances_to(exit), {}}.of(switch_of_vertex_[from.index()]);
}

void HopTable::append_path_number(VertexId from,
                                  VertexId exit,
                                  std::uint64_t index,
                                  std::vector<LinkId>& links) const {
  Counts counts{*this, distances_to(exit), {}};
  std::int32_t at = switch_of_vertex_[from.index()];
  MOESIM_CHECK(index < counts.of(at), "a path of that number");
  while (counts.distance[static_cast<std::size_t>(at)] > 0) {
    for (const Hop& hop : hops_from(at)) {
      if (!counts.leads_nearer(at, hop)) {
        continue;
      }
      const std::uint64_t behind = counts.of(hop.target);
      if (index < behind) {
        links.push_back(hop.link);
        at = hop.target;
        break;
      }
      index -= behind;
    }
  }
}

}  // namespace moesim
