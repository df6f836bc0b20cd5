// SPDX-License-Identifier: Apache-2.0
// The cluster as a Boost.Graph, for the algorithms and writers of that library. Heavy to compile:
// include it in .cpp files only.
#pragma once

#include <boost/graph/adjacency_list.hpp>

#include "topology/cluster.hpp"

namespace moesim {

/// Vertex descriptors are VertexId::index(), edges() runs in LinkId order; each carries its own
/// id, through which the cluster's values are reached.
struct VertexRef {
  VertexId id;
};
struct LinkRef {
  LinkId id;
};
using FabricGraph =
    boost::adjacency_list<boost::vecS, boost::vecS, boost::bidirectionalS, VertexRef, LinkRef>;

/// One vertex per cluster vertex, one directed edge per link, links of health 0 included.
[[nodiscard]] FabricGraph make_graph(const Cluster& cluster);

}  // namespace moesim
