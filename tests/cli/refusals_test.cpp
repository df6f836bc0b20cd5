// SPDX-License-Identifier: Apache-2.0
// Words of options and files that topology, run and explain refuse: --bytes-per-pair, --strict,
// GraphML.
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include "tests/cli/scene.hpp"

namespace moesim::cli_tests {
namespace {

class Refusals : public Scene {
 protected:
  void expect_refused(const std::vector<std::string>& arguments, const std::string& words) const {
    const Outcome outcome = moesim(arguments);
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(outcome.err, words + "\n");
  }
  /// Of `run scenario.toml --set cluster.graphml=fabric.graphml`, the file holding this text.
  void expect_graph_refused(const std::string& text, const std::string& words) const {
    write("fabric.graphml", text);
    const std::string graph = "cluster.graphml=fabric.graphml";
    expect_refused(
        {"run", "scenario.toml", "--set", graph},
        "--set " + graph + ": error: cluster.graphml: fabric.graphml: GraphML: " + words);
  }
};

TEST_F(Refusals, BytesPerPairAreASizeAboveZero) {
  for (const char* size : {"1", "0 B", "-1 MB", "1 Gb", "much"}) {
    expect_refused({"topology", "scenario.toml", "--bytes-per-pair", size},
                   std::string("error: --bytes-per-pair ") + size +
                       ": expected above 0, a size: <number> B, kB, MB, GB, TB, KiB, MiB or GiB");
  }
}

TEST_F(Refusals, StrictNamesEveryPhaseThatIsAssumed) {
  const std::string words =
      "error: --strict: dispatch: constants are assumed, not fitted to measurements\n"
      "error: --strict: experts: constants are assumed, not fitted to measurements\n"
      "error: --strict: combine: constants are assumed, not fitted to measurements";
  expect_refused({"run", "scenario.toml", "--strict"}, words);
  expect_refused({"explain", "scenario.toml", "--strict", "--layer", "1"}, words);
}

TEST_F(Refusals, StrictNamesEveryInputOutsideItsRange) {
  const std::string fit =
      "\n[calibration.expert_fit]\nkernel = \"k\"\nsource = \"s\"\nfitted_points = 3\n"
      "fitted_median = 0.01\nspread_p10 = 0.9\nspread_p90 = 1.1\n"
      "rows_min = 1000\nrows_max = 2000\nslots_min = 1\nslots_max = 8\n"
      "hidden_min = 256\nhidden_max = 256\nwidth_min = 512\nwidth_max = 512\n";
  write("scenario.toml", read("scenario.toml") + fit);
  const Outcome outcome = moesim({"run", "scenario.toml", "--strict"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err,
              testing::MatchesRegex(
                  "error: --strict: dispatch: constants are assumed, not fitted to measurements\n"
                  "error: --strict: experts: rows on a rank [0-9]+; \"k\" was fitted from 1000 to "
                  "2000\n"
                  "error: --strict: combine: constants are assumed, not fitted to measurements\n"));
}

TEST_F(Refusals, GraphmlIsRefusedWithTheLineOfTheFile) {
  expect_graph_refused("hello\n", "cannot be read: line 1: expected <");
  expect_graph_refused(
      "<graphml>\n<graph edgedefault=\"directed\">\n<node id=a/>\n</graph></graphml>",
      "cannot be read: line 3: expected ' or \"");
  expect_graph_refused("<graphml>\n<graph edgedefault=\"directed\">\n<node/>\n</graph></graphml>",
                       "cannot be read: line 3: <node> has no id");
  expect_graph_refused(
      "<graphml>\n<graph edgedefault=\"undirected\"><node id=\"a\"/>\n"
      "<edge source=\"a\" target=\"a\"/></graph></graphml>",
      "the graph is undirected; edges must be directed, one each way");
  expect_graph_refused("<graphml><graph edgedefault=\"directed\"/></graphml>",
                       "no node is of kind gpu");
}

TEST_F(Refusals, AGraphThatWasExportedRunsLikeItsCluster) {
  const std::string whole = moesim({"run", "scenario.toml"}).out;
  write("fabric.graphml", moesim({"topology", "scenario.toml", "--format", "graphml"}).out);
  EXPECT_EQ(moesim({"run", "scenario.toml", "--set", "cluster.graphml=fabric.graphml"}).out, whole);
}

}  // namespace
}  // namespace moesim::cli_tests
