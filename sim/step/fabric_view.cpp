// SPDX-License-Identifier: Apache-2.0
#include "sim/step/fabric_view.hpp"

namespace moesim {

FabricView fabric_view(const Cluster& cluster) {
  FabricView view;
  view.torus = cluster.torus;
  for (const Vertex& vertex : cluster.vertices) {
    view.nodes.push_back({vertex.kind, vertex.name, vertex.node});
  }
  for (const Link& link : cluster.links) {
    view.edges.push_back({link.source.index(), link.target.index(), link.kind});
  }
  for (const GpuPlace& gpu : cluster.gpus) {
    view.gpus.push_back(gpu.vertex.index());
  }
  return view;
}

}  // namespace moesim
