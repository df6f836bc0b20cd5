// SPDX-License-Identifier: Apache-2.0
#include "topology/export.hpp"

#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/graphml.hpp>
#include <boost/graph/graphviz.hpp>
#include <gtest/gtest.h>

#include <sstream>
#include <string>

#include "tests/topology/cluster_fixtures.hpp"
#include "topology/builders.hpp"

namespace moesim {
namespace {

struct ReadVertex {
  std::string name;
  std::string kind;
  int node = -2;
};
struct ReadEdge {
  std::string kind;
  double capacity = -1;
  double latency = -1;
  double health = -1;
};
using ReadGraph =
    boost::adjacency_list<boost::vecS, boost::vecS, boost::bidirectionalS, ReadVertex, ReadEdge>;

boost::dynamic_properties properties_of(ReadGraph& graph,
                                        const std::string& name_key,
                                        const std::string& node_key) {
  boost::dynamic_properties properties(boost::ignore_other_properties);
  properties.property(name_key, boost::get(&ReadVertex::name, graph));
  properties.property("kind", boost::get(&ReadVertex::kind, graph));
  properties.property(node_key, boost::get(&ReadVertex::node, graph));
  properties.property("kind", boost::get(&ReadEdge::kind, graph));
  properties.property("capacity_bytes_per_s", boost::get(&ReadEdge::capacity, graph));
  properties.property("latency_s", boost::get(&ReadEdge::latency, graph));
  properties.property("health", boost::get(&ReadEdge::health, graph));
  return properties;
}

Cluster degraded_cluster() {
  Cluster cluster = build_cluster(small_spec(FabricKind::kRail, 2, 2, 1));
  cluster.name = R"(4 "GPUs" & <more>)";
  cluster.vertices[0].name = R"(node0/"a" & <b>)";
  cluster.links[3].health = 0;
  cluster.links[4].health = 1.0 / 3;
  return cluster;
}

TEST(ToGraphml, GivesEveryValueBack) {
  const Cluster cluster = degraded_cluster();
  const std::string graphml = to_graphml(cluster);
  EXPECT_NE(graphml.find(R"(attr.name="capacity_bytes_per_s" attr.type="double")"),
            std::string::npos);
  ReadGraph graph;
  boost::dynamic_properties properties = properties_of(graph, "name", "node");
  std::istringstream text(graphml);
  boost::read_graphml(text, graph, properties);
  ASSERT_EQ(boost::num_vertices(graph), cluster.vertices.size());
  ASSERT_EQ(boost::num_edges(graph), cluster.links.size());
  for (std::size_t i = 0; i < cluster.vertices.size(); ++i) {
    EXPECT_EQ(graph[i].name, cluster.vertices[i].name);
    EXPECT_EQ(graph[i].kind, to_text(cluster.vertices[i].kind));
    EXPECT_EQ(graph[i].node, cluster.vertices[i].node);
  }
  std::size_t i = 0;
  for (auto [edge, end] = boost::edges(graph); edge != end; ++edge, ++i) {
    const Link& link = cluster.links[i];
    EXPECT_EQ(boost::source(*edge, graph), link.source.index());
    EXPECT_EQ(boost::target(*edge, graph), link.target.index());
    EXPECT_EQ(graph[*edge].kind, to_text(link.kind));
    EXPECT_EQ(graph[*edge].capacity, link.capacity.value);
    EXPECT_EQ(graph[*edge].latency, link.latency.value);
    EXPECT_EQ(graph[*edge].health, link.health);
  }
}

// 32 directed links are 16 cables; two of them have unlike directions and are drawn twice.
TEST(ToGraphviz, DrawsACableOnceUnlessItsDirectionsDiffer) {
  const Cluster cluster = degraded_cluster();
  ASSERT_EQ(cluster.links.size(), 32U);
  ReadGraph graph;
  boost::dynamic_properties properties = properties_of(graph, "label", "host");
  std::istringstream text(to_graphviz(cluster));
  ASSERT_TRUE(boost::read_graphviz(text, graph, properties, "node_id"));
  EXPECT_EQ(boost::num_vertices(graph), cluster.vertices.size());
  EXPECT_EQ(boost::num_edges(graph), 16U + 2U);
  int down = 0;
  for (auto [edge, end] = boost::edges(graph); edge != end; ++edge) {
    EXPECT_GT(graph[*edge].capacity, 0);
    EXPECT_GE(graph[*edge].latency, 0);
    down += graph[*edge].health == 0 ? 1 : 0;
  }
  EXPECT_EQ(down, 1);
}

TEST(ToGraphviz, BoxesHostsAndColoursFaults) {
  Cluster cluster = build_cluster(small_spec(FabricKind::kSingleSwitch, 1, 1, 1));
  cluster.links[0].health = 0;
  cluster.links[2].health = 0.5;
  EXPECT_EQ(
      to_graphviz(cluster),
      "digraph G {\n"
      "label=\"small\";\n"
      "rankdir=TB; newrank=true; ranksep=1.2; nodesep=0.08; splines=line; ordering=out; "
      "labelloc=b;\n"
      "node [style=filled,fontname=\"Helvetica\",fontsize=10,height=0.3,width=0.5];\n"
      "edge [color=\"#777777\",arrowsize=0.5];\n"
      "subgraph cluster_node0 { label=\"node0\"; 0; 1; }\n"
      "0[label=\"gpu0\",kind=gpu,host=0,shape=box,fillcolor=\"#a1d99b\"];\n"
      "1[label=\"nic0\",kind=nic,host=0,shape=box,fillcolor=\"#fdd0a2\"];\n"
      "2[label=\"switch\",kind=leaf,host=-1,shape=box,fillcolor=\"#deebf7\"];\n"
      "0->1 [kind=pcie,capacity_bytes_per_s=\"20000000000\",latency_s=\"0\",health=\"0\","
      "constraint=false,color=red,style=dashed];\n"
      "1->0 [kind=pcie,capacity_bytes_per_s=\"20000000000\",latency_s=\"0\",health=\"1\"];\n"
      "1->2 [kind=nic,capacity_bytes_per_s=\"10000000000\",latency_s=\"1e-06\",health=\"0.5\","
      "constraint=false,color=orange];\n"
      "2->1 [kind=nic,capacity_bytes_per_s=\"10000000000\",latency_s=\"1e-06\",health=\"1\"];\n"
      "}\n");
}

TEST(Exports, AreTheSameTextEveryTime) {
  const Cluster cluster = build_cluster(small_spec(FabricKind::kFatTree, 4, 2, 2));
  EXPECT_EQ(to_graphviz(cluster), to_graphviz(cluster));
  EXPECT_EQ(to_graphml(cluster), to_graphml(cluster));
}

}  // namespace
}  // namespace moesim
