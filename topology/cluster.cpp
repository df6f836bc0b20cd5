// SPDX-License-Identifier: Apache-2.0
#include "topology/cluster.hpp"

#include <fmt/core.h>

#include "sim/core/check.hpp"

namespace moesim {

std::string_view to_text(VertexKind kind) {
  switch (kind) {
    case VertexKind::kGpu:
      return "gpu";
    case VertexKind::kScaleUpSwitch:
      return "scale_up_switch";
    case VertexKind::kNic:
      return "nic";
    case VertexKind::kLeaf:
      return "leaf";
    case VertexKind::kSpine:
      return "spine";
    case VertexKind::kCore:
      return "core";
  }
  check_failed(__FILE__, __LINE__, "kind", "a vertex kind without a name");
}

std::string_view to_text(LinkKind kind) {
  switch (kind) {
    case LinkKind::kScaleUp:
      return "scale_up";
    case LinkKind::kPcie:
      return "pcie";
    case LinkKind::kNic:
      return "nic";
    case LinkKind::kFabric:
      return "fabric";
  }
  check_failed(__FILE__, __LINE__, "kind", "a link kind without a name");
}

std::string Cluster::link_name(LinkId id) const {
  const Link& l = link(id);
  return fmt::format("{} -> {}", vertices[l.source.index()].name, vertices[l.target.index()].name);
}

std::vector<BytesPerSecond> usable_capacities(const Cluster& cluster) {
  std::vector<BytesPerSecond> usable;
  usable.reserve(cluster.links.size());
  for (const Link& link : cluster.links) {
    usable.push_back(link.usable());
  }
  return usable;
}

}  // namespace moesim
