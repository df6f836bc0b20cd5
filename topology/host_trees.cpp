// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <queue>

#include "topology/gpu_ports.hpp"

namespace moesim {

/// One breadth-first search inside a host; small, so maps will do.
struct HostTrees::Search {
  const HostTrees& trees;
  bool outward = true;
  std::map<VertexId, LinkId> last_link;  ///< by vertex reached
  std::vector<VertexId> order;

  Search(const HostTrees& host, VertexId start, bool out, bool pcie_only)
      : trees(host), outward(out) {
    std::queue<VertexId> open;
    open.push(start);
    while (!open.empty()) {
      const VertexId at = open.front();
      open.pop();
      const auto& links = outward ? trees.from_[at.index()] : trees.into_[at.index()];
      for (const LinkId id : links) {
        const Link& link = trees.cluster_.link(id);
        const VertexId next = outward ? link.target : link.source;
        if ((pcie_only && link.kind != LinkKind::kPcie) || next == start ||
            !last_link.emplace(next, id).second) {
          continue;
        }
        order.push_back(next);
        if (kind(next) == VertexKind::kScaleUpSwitch) {
          open.push(next);
        }
      }
    }
  }

  [[nodiscard]] VertexKind kind(VertexId vertex) const {
    return trees.cluster_.vertices[vertex.index()].kind;
  }

  /// The links between the start and `end` in order of travel.
  [[nodiscard]] std::vector<LinkId> way(VertexId end) const {
    std::vector<LinkId> links;
    for (auto at = last_link.find(end); at != last_link.end();) {
      links.push_back(at->second);
      const Link& link = trees.cluster_.link(at->second);
      at = last_link.find(outward ? link.source : link.target);
    }
    if (outward) {
      std::reverse(links.begin(), links.end());
    }
    return links;
  }
};

HostTrees::HostTrees(const Cluster& cluster, LinkFilter filter)
    : from_(cluster.vertices.size()), into_(cluster.vertices.size()), cluster_(cluster) {
  for (std::size_t i = 0; i < cluster.links.size(); ++i) {
    const Link& link = cluster.links[i];
    const bool inside = link.kind == LinkKind::kScaleUp || link.kind == LinkKind::kPcie;
    if (inside && admits(filter, link)) {
      from_[link.source.index()].push_back(id_at<LinkId>(i));
      into_[link.target.index()].push_back(id_at<LinkId>(i));
    }
  }
}

std::optional<std::vector<LinkId>> HostTrees::find(VertexId source, VertexId target) const {
  const Search search(*this, source, true, false);
  std::vector<LinkId> links = search.way(target);
  return links.empty() ? std::nullopt : std::optional(std::move(links));
}

std::vector<std::pair<VertexId, std::vector<LinkId>>> HostTrees::ways_to_nics(VertexId gpu,
                                                                              bool outward) const {
  std::vector<std::pair<VertexId, std::vector<LinkId>>> ways;
  const Search search(*this, gpu, outward, true);
  for (const VertexId vertex : search.order) {
    if (search.kind(vertex) == VertexKind::kNic) {
      ways.emplace_back(vertex, search.way(vertex));
    }
  }
  return ways;
}

}  // namespace moesim
