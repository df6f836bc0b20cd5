// SPDX-License-Identifier: Apache-2.0
// GraphML in: what to_graphml() wrote comes back; hostile texts are refused in words.
#include <gtest/gtest.h>

#include <string>

#include "sim/core/diagnostics.hpp"
#include "tests/topology/cluster_fixtures.hpp"
#include "topology/builders.hpp"
#include "topology/export.hpp"
#include "topology/graphml_reader.hpp"

namespace moesim {
namespace {

TEST(Graphml, RoundTripGivesTheSameCluster) {
  ClusterSpec spec = small_spec(FabricKind::kRail, 4, 2, 2);
  spec.scale_up.nodes_per_domain = 2;
  Cluster cluster = build_cluster(spec);
  cluster.links[5].health = 1.0 / 3;
  cluster.links[7].background = gigabytes_per_second(0.1);
  const Cluster back = read_graphml_cluster(to_graphml(cluster));
  EXPECT_EQ(to_graphml(back), to_graphml(cluster));
  EXPECT_EQ(back.num_domains, 2);
  EXPECT_EQ(back.gpus_per_domain, 4);
  for (std::size_t i = 0; i < cluster.gpus.size(); ++i) {
    EXPECT_EQ(back.gpus[i].node, cluster.gpus[i].node);
    EXPECT_EQ(back.gpus[i].domain, cluster.gpus[i].domain);
    EXPECT_EQ(back.gpus[i].index_in_domain, cluster.gpus[i].index_in_domain);
  }
}

/// Two GPUs on a scale-up switch; `edge` is the data of the only edge from the first.
std::string graph(const std::string& gpu, const std::string& edge, const std::string& ends) {
  return R"(<?xml version="1.0"?><graphml>
<key id="k" for="node" attr.name="kind" attr.type="string"/>
<key id="n" for="node" attr.name="node" attr.type="int"/>
<key id="e" for="edge" attr.name="kind" attr.type="string"/>
<key id="c" for="edge" attr.name="capacity_bytes_per_s" attr.type="double"/>
<key id="l" for="edge" attr.name="latency_s" attr.type="double"/>
<graph edgedefault="directed">
<node id="a">)" +
         gpu + R"(</node><node id="s"><data key="k">scale_up_switch</data></node>
<edge )" +
         ends + ">" + edge + "</edge></graph></graphml>";
}

std::string refusal(const std::string& text) {
  try {
    (void)read_graphml_cluster(text);
  } catch (const UserError& error) {
    return error.what();
  }
  return "read";
}

TEST(Graphml, RefusesInWords) {
  const std::string gpu = R"(<data key="k">gpu</data><data key="n">0</data>)";
  const std::string link =
      R"(<data key="e">scale_up</data><data key="c">1e9</data><data key="l">0</data>)";
  const std::string ends = R"(source="a" target="s")";
  EXPECT_EQ(refusal(graph(gpu, link, ends)), "read");
  EXPECT_EQ(refusal(graph("", link, ends)),
            "error: GraphML: node 0: no kind; expected gpu, scale_up_switch, nic, leaf, spine or "
            "core");
  EXPECT_EQ(refusal(graph(R"(<data key="k">tpu</data>)", link, ends)),
            "error: GraphML: node 0: kind \"tpu\"; expected gpu, scale_up_switch, nic, leaf, spine "
            "or core");
  EXPECT_EQ(refusal(graph(R"(<data key="k">gpu</data>)", link, ends)),
            "error: GraphML: node 0: no node");
  EXPECT_EQ(refusal(graph(R"(<data key="k">leaf</data>)", link, ends)),
            "error: GraphML: no node is of kind gpu");
  EXPECT_EQ(refusal(graph(gpu, R"(<data key="e">scale_up</data>)", ends)),
            "error: GraphML: edge gpu0 -> scale_up_switch1: no capacity_bytes_per_s");
  EXPECT_EQ(refusal(graph(gpu, R"(<data key="e">scale_up</data><data key="c">fast</data>)", ends)),
            "error: GraphML: edge gpu0 -> scale_up_switch1: capacity_bytes_per_s is \"fast\", no "
            "number");
  EXPECT_EQ(refusal(graph(gpu, R"(<data key="e">nic</data>)", ends)),
            "error: GraphML: edge gpu0 -> scale_up_switch1: a link of kind nic cannot join gpu and "
            "scale_up_switch");
  EXPECT_EQ(refusal(graph(gpu, link, R"(source="a" target="a")")),
            "error: GraphML: edge gpu0 -> gpu0: a link of kind scale_up cannot join gpu and "
            "itself");
  EXPECT_EQ(
      refusal(graph(gpu, link, R"(source="a" target="zz")")),
      "error: GraphML: node 2: no kind; expected gpu, scale_up_switch, nic, leaf, spine or core");
  EXPECT_EQ(refusal(graph(R"(<data key="k">gpu</data><data key="n">3</data>)", link, ends)),
            "error: GraphML: host 0 has no GPU; hosts count from 0 without gaps");
}

// The parser cuts blanks out of the text that it reads: the line must be that of the file.
TEST(Graphml, SaysTheLineOfTheFileWhereTheTextIsNoXml) {
  std::string text = "<?xml version=\"1.0\"?>\n<graphml>\n<graph edgedefault=\"directed\">\n";
  for (int i = 0; i < 20; ++i) {
    text += "<node id=\"a\">\n  <data key=\"k\">\n   gpu\n\n\n  &amp; </data>\n</node>\n";
  }
  EXPECT_EQ(refusal(text + "<edge source=a target=\"s\"/>\n</graph></graphml>"),
            "error: GraphML: cannot be read: line 144: expected ' or \"");
}

TEST(Graphml, RefusesDataThatContradictsItself) {
  const std::string gpu = R"(<data key="k">gpu</data><data key="n">0</data>)";
  const std::string ends = R"(source="a" target="s")";
  const auto edge = [&](const std::string& capacity, const std::string& latency) {
    return refusal(graph(gpu,
                         R"(<data key="e">scale_up</data><data key="c">)" + capacity +
                             R"(</data><data key="l">)" + latency + "</data>",
                         ends));
  };
  const std::string at = "error: GraphML: edge gpu0 -> scale_up_switch1: ";
  EXPECT_EQ(edge("0", "0"), at + "capacity_bytes_per_s is 0; a link that is down has health 0");
  EXPECT_EQ(edge("-1", "0"), at + "capacity_bytes_per_s is -1, not within 0 and 1e+18");
  EXPECT_EQ(edge("nan", "0"), at + "capacity_bytes_per_s is \"nan\", no number");
  EXPECT_EQ(edge("1e9", "2"), at + "latency_s is 2, not within 0 and 1");
  EXPECT_EQ(refusal(graph(R"(<data key="k">gpu</data><data key="n">0.5</data>)", "", ends)),
            "error: GraphML: node 0: node is 0.5, no whole number");
  EXPECT_EQ(refusal("<graphml><graph edgedefault=\"undirected\"><node id=\"a\"/>"
                    "<edge source=\"a\" target=\"a\"/></graph></graphml>"),
            "error: GraphML: the graph is undirected; edges must be directed, one each way");
}

/// A cluster as GraphML with one passage replaced.
std::string edited(const Cluster& cluster, const std::string& passage, const std::string& instead) {
  std::string text = to_graphml(cluster);
  const std::size_t at = text.find(passage);
  EXPECT_NE(at, std::string::npos) << passage << " is not in\n" << text;
  return text.replace(at, passage.size(), instead);
}

TEST(Graphml, RefusesUnequalHostsAndDomainsAndLinksThatAreTaken) {
  Cluster cluster = build_cluster(small_spec(FabricKind::kSingleSwitch, 2, 2, 1));
  EXPECT_EQ(refusal(edited(cluster, "node1/gpu1", "node1/gpu0")),
            "error: GraphML: node \"node1/gpu0\": a second node of that name");
  cluster.vertices[cluster.gpus[3].vertex.index()].node = 0;
  EXPECT_EQ(refusal(to_graphml(cluster)), "error: GraphML: host 1 has 1 GPUs, host 0 has 3");
  cluster = build_cluster(small_spec(FabricKind::kSingleSwitch, 2, 2, 1));
  std::erase_if(cluster.links, [&](const Link& link) {
    return link.kind == LinkKind::kScaleUp &&
           (link.source == cluster.gpus[3].vertex || link.target == cluster.gpus[3].vertex);
  });
  EXPECT_EQ(refusal(to_graphml(cluster)),
            "error: GraphML: scale-up domain 1 has 1 GPUs, domain 0 has 2");
  cluster = build_cluster(small_spec(FabricKind::kSingleSwitch, 2, 2, 1));
  cluster.links[0].background = cluster.links[0].capacity;
  EXPECT_EQ(refusal(to_graphml(cluster)),
            "error: GraphML: edge node0/gpu0 -> domain0/switch: background_bytes_per_s leaves "
            "nothing of capacity * health");
  cluster.links[0].background = {};
  cluster.links[0].health = 1.5;
  EXPECT_EQ(refusal(to_graphml(cluster)),
            "error: GraphML: edge node0/gpu0 -> domain0/switch: health is 1.5, not within 0 and 1");
  Vertex nic{.kind = VertexKind::kNic, .name = "node7/nic0", .node = 7};
  cluster.links[0].health = 1;
  cluster.vertices.push_back(nic);
  EXPECT_EQ(refusal(to_graphml(cluster)), "error: GraphML: node \"node7/nic0\": host 7 has no GPU");
}

TEST(Graphml, RefusesWhatIsNoGraphmlAndDeepNesting) {
  const auto expect = [](const std::string& text, const std::string& words) {
    EXPECT_EQ(refusal(text), "error: GraphML: cannot be read: " + words);
  };
  expect("", "no element <graphml>");
  EXPECT_EQ(refusal("<graphml>\n</graphml>\n"), "error: GraphML: no node is of kind gpu");
  expect("<foo>\n</foo>", "no element <graphml>");
  expect("<graphml>\n<graph", "line 2: expected >");
  expect("\n\nhello", "line 3: expected <");
  const std::string start = "<graphml>\n<graph edgedefault=\"directed\">\n";
  const std::string end = "</graph></graphml>";
  expect("<graphml>\n<graph>\n" + end, "line 2: <graph> has no edgedefault");
  expect(start + "<node id=\"a\"/>\n<node/>" + end, "line 4: <node> has no id");
  expect(start + "<node id=\"source\"/>\n<edge\ntarget = \"source\"/>" + end,
         "line 4: <edge> has no source");
  expect(start + "<node id=\"a\"><data>gpu</data></node>" + end, "line 3: <data> has no key");
  expect(start + "<node id=\"a\"><data key=\"q\">gpu</data></node>" + end,
         "a <data> names a key that no <key> declares");
  expect("<graphml>\n<key id=\"q\" for=\"node\" attr.name=\"kind\"/>" + start.substr(9) +
             "<node id=\"a\"><data key=\"q\">gpu</data></node>" + end,
         "<key> of kind has no attr.type");
  std::string deep;
  for (int i = 0; i < 1'000'000; ++i) {
    deep += "<a><!-- /> </a> -->";
  }
  EXPECT_EQ(refusal(deep), "error: GraphML: elements are nested deeper than 64");
}

}  // namespace
}  // namespace moesim
