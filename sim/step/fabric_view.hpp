// SPDX-License-Identifier: Apache-2.0
// What a report keeps of the cluster, for drawing it: vertices and who is linked to whom.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "topology/cluster.hpp"

namespace moesim {

struct FabricView {
  struct Node {
    VertexKind kind = VertexKind::kGpu;
    std::string name;
    int host = -1;  ///< -1: of no host
  };
  struct Edge {
    std::size_t source = 0;
    std::size_t target = 0;
    LinkKind kind = LinkKind::kScaleUp;
  };
  std::vector<Node> nodes;        ///< by VertexId
  std::vector<Edge> edges;        ///< by LinkId
  std::vector<std::size_t> gpus;  ///< node of each GPU, by GpuId
  std::array<int, 3> torus = {0, 0, 0};
};

[[nodiscard]] FabricView fabric_view(const Cluster& cluster);

}  // namespace moesim
