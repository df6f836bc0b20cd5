// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <queue>

#include "topology/path_tables.hpp"

namespace moesim {
namespace {

/// Vertices reached from `start` along links that `admit` allows, or against them; other GPUs are
/// not passed through.
template <typename Admit>
std::vector<char> reach(const Cluster& cluster, VertexId start, bool forward, const Admit& admit) {
  std::vector<std::vector<std::size_t>> links(cluster.vertices.size());
  for (std::size_t i = 0; i < cluster.links.size(); ++i) {
    const Link& link = cluster.links[i];
    if (admit(link)) {
      links[(forward ? link.source : link.target).index()].push_back(i);
    }
  }
  std::vector<char> reached(cluster.vertices.size(), 0);
  reached[start.index()] = 1;
  std::queue<VertexId> open;
  open.push(start);
  while (!open.empty()) {
    const VertexId at = open.front();
    open.pop();
    for (const std::size_t i : links[at.index()]) {
      const VertexId next = forward ? cluster.links[i].target : cluster.links[i].source;
      if (reached[next.index()] == 0) {
        reached[next.index()] = 1;
        if (cluster.vertices[next.index()].kind != VertexKind::kGpu) {
          open.push(next);
        }
      }
    }
  }
  return reached;
}

}  // namespace

std::string broken_cut(const Cluster& cluster, GpuId source, GpuId target, PathScope scope) {
  const bool inside =
      scope == PathScope::kAny && cluster.place(source).domain == cluster.place(target).domain;
  const auto takes_part = [&](const Link& link) {
    const bool at_nic = cluster.vertices[link.source.index()].kind == VertexKind::kNic ||
                        cluster.vertices[link.target.index()].kind == VertexKind::kNic;
    return inside ? !at_nic && link.kind != LinkKind::kFabric : link.kind != LinkKind::kScaleUp;
  };
  const auto reached = reach(cluster, cluster.place(source).vertex, true, [&](const Link& link) {
    return takes_part(link) && link.health > 0;
  });
  const auto leads = reach(cluster, cluster.place(target).vertex, false, takes_part);
  constexpr int kNamed = 3;
  int count = 0;
  std::string text;
  for (std::size_t i = 0; i < cluster.links.size(); ++i) {
    const Link& link = cluster.links[i];
    const bool cut = takes_part(link) && link.health == 0 && reached[link.source.index()] != 0 &&
                     reached[link.target.index()] == 0 && leads[link.target.index()] != 0;
    if (cut && ++count <= kNamed) {
      text += (count > 1 ? ", " : "") + cluster.link_name(id_at<LinkId>(i));
    }
  }
  return count > kNamed ? text + fmt::format(" and {} more", count - kNamed) : text;
}

}  // namespace moesim
