// SPDX-License-Identifier: Apache-2.0
#include "topology/fabric_graph.hpp"

namespace moesim {

FabricGraph make_graph(const Cluster& cluster) {
  FabricGraph graph(cluster.vertices.size());
  for (std::size_t i = 0; i < cluster.vertices.size(); ++i) {
    graph[i].id = id_at<VertexId>(i);
  }
  for (std::size_t i = 0; i < cluster.links.size(); ++i) {
    const Link& link = cluster.links[i];
    boost::add_edge(link.source.index(), link.target.index(), LinkRef{id_at<LinkId>(i)}, graph);
  }
  return graph;
}

}  // namespace moesim
