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

TEST(Graphml, RefusesWhatIsNoGraphmlAndDeepNesting) {
  EXPECT_EQ(refusal("").substr(0, 31), "error: GraphML: cannot be read:");
  EXPECT_EQ(refusal("<graphml><graph").substr(0, 31), "error: GraphML: cannot be read:");
  std::string deep;
  for (int i = 0; i < 1'000'000; ++i) {
    deep += "<a><!-- /> </a> -->";
  }
  EXPECT_EQ(refusal(deep), "error: GraphML: elements are nested deeper than 64");
}

}  // namespace
}  // namespace moesim
