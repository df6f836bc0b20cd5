// SPDX-License-Identifier: Apache-2.0
#include "sim/report/fabric_drawing.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <utility>

namespace moesim {

GroupedFabric grouped(const FabricView& fabric, bool by_host) {
  GroupedFabric result;
  result.view.torus = fabric.torus;
  std::vector<std::size_t> group_of;
  std::map<std::pair<int, VertexKind>, std::size_t> hosts;
  for (const FabricView::Node& node : fabric.nodes) {
    const std::size_t next = result.view.nodes.size();
    if (!by_host || node.host < 0) {
      group_of.push_back(next);
      result.view.nodes.push_back(node);
      continue;
    }
    const auto [at, added] = hosts.try_emplace({node.host, node.kind}, next);
    if (added) {
      result.view.nodes.push_back(
          {node.kind, fmt::format("node{}, every {}", node.host, to_text(node.kind)), node.host});
    }
    group_of.push_back(at->second);
  }
  std::map<std::pair<std::size_t, std::size_t>, std::size_t> joined;
  for (const FabricView::Edge& edge : fabric.edges) {
    const auto [low, high] = std::minmax({group_of[edge.source], group_of[edge.target]});
    if (low == high) {
      result.of_edges.push_back(GroupedFabric::kInside);
      continue;
    }
    const auto [at, added] = joined.try_emplace({low, high}, result.view.edges.size());
    if (added) {
      result.view.edges.push_back({low, high, edge.kind});
    }
    result.of_edges.push_back(at->second);
  }
  return result;
}

}  // namespace moesim
