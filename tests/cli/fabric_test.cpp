// SPDX-License-Identifier: Apache-2.0
// The shipped clusters of the larger fabrics: built, measured by a bisection derived by hand, and
// run; and the engines that a scenario may choose on them.
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <map>

#include "tests/cli/scene.hpp"

namespace moesim::cli_tests {
namespace {

using nlohmann::json;

class Fabrics : public Scene {
 protected:
  /// The scenario on a shipped cluster.
  void use(const std::string& preset, const std::string& more = "") const {
    const std::string text = read("scenario.toml");
    const std::size_t begin = text.find("[cluster]");
    const std::size_t end = text.find("[calibration]");
    ASSERT_NE(end, std::string::npos);
    write("fabric.toml",
          text.substr(0, begin) +
              "[cluster]\npreset = \"" MOESIM_SOURCE_DIR "/scenarios/clusters/" + preset +
              ".toml\"\n" + more + text.substr(end));
  }
  [[nodiscard]] double bisection(const std::string& preset, const std::string& more = "") const {
    use(preset, more);
    return json_of({"topology", "fabric.toml", "--json"})["bisection_bytes_per_s"];
  }
};

// 128 nodes of 8 NICs of 50 GB/s in each half, not oversubscribed.
TEST_F(Fabrics, ThreeTiersCarryAllNicsOfAHalf) {
  EXPECT_DOUBLE_EQ(bisection("h100-hgx-3-tier"), 128 * 8 * 50e9);
}

// Two nodes of 8 NICs on each side.
TEST_F(Fabrics, PlanesCarryAllPorts) {
  EXPECT_DOUBLE_EQ(bisection("h100-dual-plane"), 2 * 8 * 50e9);
  EXPECT_DOUBLE_EQ(bisection("h800-multi-plane"), 2 * 8 * 50e9);
}

// The second half has NICs of 25 GB/s.
TEST_F(Fabrics, MixedNicsAreAsFastAsTheSlowerHalf) {
  EXPECT_DOUBLE_EQ(bisection("h100-mixed-nics"), 2 * 8 * 25e9);
}

// One NIC of 25 GB/s a node, two nodes in each half.
TEST_F(Fabrics, APcieNodeHasOneNic) {
  EXPECT_DOUBLE_EQ(bisection("a100-pcie"), 2 * 25e9);
}

// Two groups against two: 4 pairs, each joined by 18 links of 500 GB/s * 18 / (1.1112 * 18 * 18).
TEST_F(Fabrics, DragonflyPlusIsBoundByItsGlobalLinks) {
  EXPECT_NEAR(bisection("a100-dragonfly-plus") / (4 * 500e9 / 1.1112), 1, 1e-6);
}

// Halves along x: 4 x 4 rings, cut twice each.
TEST_F(Fabrics, ATorusIsCutTwice) {
  EXPECT_DOUBLE_EQ(bisection("tpu-v4-torus"), 2 * 16 * 50e9);
}

TEST_F(Fabrics, EveryOneRuns) {
  const std::map<std::string, std::string> paths = {{"h100-hgx-3-tier", "ecmp"},
                                                    {"h100-dual-plane", "ecmp"},
                                                    {"h100-mixed-nics", "ecmp"},
                                                    {"h800-multi-plane", "rail_aligned"},
                                                    {"a100-pcie", "ecmp"},
                                                    {"a100-dragonfly-plus", "ecmp"},
                                                    {"tpu-v4-torus", "ecmp"}};
  for (const auto& [preset, policy] : paths) {
    use(preset);
    for (const char* choice : {"hash", "spray"}) {
      const json report = json_of({"run",
                                   "fabric.toml",
                                   "--json",
                                   "--set",
                                   "batch.steps=1",
                                   "--set",
                                   "parallel.ep=8",
                                   "--set",
                                   "network.paths=" + policy,
                                   "--set",
                                   std::string("network.path_choice=") + choice});
      const json& layer = report["steps"][0]["layers"][0];
      EXPECT_GT(layer["makespan_s"].get<double>(), layer["dispatch_bound_s"].get<double>())
          << preset;
    }
  }
}

// Two 200G planes: a transfer by hash takes one, spread it takes both.
TEST_F(Fabrics, SprayUsesBothPlanes) {
  use("h100-dual-plane", "gpus_per_node = 1\nnic.per_node = 1\n");
  const auto dispatch = [&](const std::string& choice) -> double {
    return json_of({"run",
                    "fabric.toml",
                    "--json",
                    "--set",
                    "batch.steps=1",
                    "--set",
                    "model.hidden_size=8192",
                    "--set",
                    "network.path_choice=" + choice})["steps"][0]["layers"][0]["dispatch_bound_s"];
  };
  EXPECT_LT(dispatch("spray"), 0.8 * dispatch("hash"));
}

// Fair shares, shares within 1 %, whole messages, chunks: all end, none before the bound.
TEST_F(Fabrics, AScenarioChoosesTheEngine) {
  const auto run = [&](const std::vector<std::string>& overrides) {
    std::vector<std::string> arguments = {
        "run", "scenario.toml", "--json", "--set", "model.hidden_size=8192"};
    for (const std::string& text : overrides) {
      arguments.insert(arguments.end(), {"--set", text});
    }
    return json_of(arguments);
  };
  const json fluid = run({});
  const json near = run({"network.tolerance=0.01"});
  const json whole = run({"network.engine=message"});
  const json chunks = run({"network.engine=message", "network.chunk=4 KiB"});
  const auto mean = [](const json& report) -> double {
    return report["summary"]["step_s"]["mean"];
  };
  EXPECT_NEAR(mean(near), mean(fluid), 0.01 * mean(fluid));
  EXPECT_THAT(
      near["notes"].get<std::vector<std::string>>(),
      testing::Contains("network flows end up to 1 % of their phase late: network.tolerance"));
  EXPECT_GT(mean(whole), mean(fluid));
  EXPECT_LT(mean(chunks), mean(whole));
  EXPECT_EQ(whole["steps"][0]["layers"][0]["dispatch_bound_s"],
            fluid["steps"][0]["layers"][0]["dispatch_bound_s"]);
}

}  // namespace
}  // namespace moesim::cli_tests
