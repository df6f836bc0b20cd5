// SPDX-License-Identifier: Apache-2.0
// [faults] through the whole program: what breaks, slows or is taken by others shows in run and
// explain, and what cannot be reached is refused with the links that are down.
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <set>

#include "tests/cli/scene.hpp"

namespace moesim::cli_tests {
namespace {

using nlohmann::json;
using testing::Each;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;

/// Tokens of 16 KiB, so that bandwidth counts beside latency.
class Faults : public Scene {
 protected:
  Faults() { edit_scenario("hidden_size = 256", "hidden_size = 8192"); }

  [[nodiscard]] json run(const std::vector<std::string>& overrides) const {
    std::vector<std::string> arguments = {"run", "scenario.toml", "--json"};
    for (const std::string& text : overrides) {
      arguments.insert(arguments.end(), {"--set", text});
    }
    return json_of(arguments);
  }
  static double step(const json& report) { return report["summary"]["step_s"]["mean"]; }

  /// The report of a run with these faults; they are listed, and cost what the report says.
  void expect_cost(const std::string& faults, const std::vector<std::string>& hits) const {
    const json whole = run({});
    const json broken = run({faults});
    EXPECT_EQ(broken["faults"], json(hits)) << faults;
    EXPECT_GT(step(broken), step(whole) * 1.01) << faults;
    const json& effect = broken["fault_effect"];
    EXPECT_EQ(effect["step_mean_without_s"], whole["summary"]["step_s"]["mean"]) << faults;
    EXPECT_DOUBLE_EQ(effect["step_ratio"], step(broken) / step(whole)) << faults;
    for (std::size_t l = 0; l < 2; ++l) {
      EXPECT_EQ(effect["layers"][l]["makespan_without_s"],
                whole["summary"]["layers"][l]["makespan_s"]);
    }
  }
};

TEST_F(Faults, ARunWithoutAnyHasNoEffect) {
  const json whole = run({});
  EXPECT_EQ(whole["faults"], json::array());
  EXPECT_EQ(whole["fault_effect"], nullptr);
}

TEST_F(Faults, ANicAtAFractionSlowsTheStep) {
  expect_cost(R"(faults.nics=["node0/nic0: 0.1"])", {"nic node0/nic0 is at 10 %"});
}

TEST_F(Faults, ALinkAtAFractionSlowsTheStep) {
  expect_cost(R"(faults.links=["node0/gpu0 <-> domain0/switch: 0.01"])",
              {"link node0/gpu0 -> domain0/switch is at 1 %",
               "link domain0/switch -> node0/gpu0 is at 1 %"});
}

TEST_F(Faults, ASlowSwitchSlowsTheStep) {
  expect_cost(R"(faults.switches=["pod0/rail1/leaf: 0.2"])", {"switch pod0/rail1/leaf is at 20 %"});
}

TEST_F(Faults, BackgroundTrafficSlowsTheStep) {
  expect_cost(R"(faults.background=["node0/nic0 -> pod0/rail0/leaf: 45 GB/s"])",
              {"link node0/nic0 -> pod0/rail0/leaf carries 45 GB/s of others"});
}

// The hot link of the NIC at a tenth: its bytes at 50 GB/s * 0.1 * the efficiency of 0.85.
TEST_F(Faults, TheHotLinkIsBusyAtItsUsableRate) {
  const json report = run({R"(faults.nics=["node0/nic0: 0.1"])"});
  const json& hot = report["steps"][0]["layers"][0]["hot"]["links"][0];
  EXPECT_THAT(hot["name"].get<std::string>(), HasSubstr("node0/nic0"));
  EXPECT_NEAR(hot["busy_s"].get<double>(), hot["bytes"].get<double>() / (50e9 * 0.1 * 0.85), 1e-9);
}

// A cut of the two nodes sees the NIC at a tenth as 55 of 100 GB/s.
TEST_F(Faults, TheCutBoundsFollowTheFaults) {
  const json whole = run({})["steps"][0]["layers"][0]["dispatch_cut"];
  const json broken =
      run({R"(faults.nics=["node0/nic0: 0.1"])"})["steps"][0]["layers"][0]["dispatch_cut"];
  EXPECT_THAT(whole["name"].get<std::string>(), testing::StartsWith("domain "));
  EXPECT_GE(broken["bound_s"].get<double>(), whole["bound_s"].get<double>());
  EXPECT_LE(broken["bound_s"].get<double>(), whole["bound_s"].get<double>() / 0.55 * (1 + 1e-9));
}

// Rank 0 has most assignments; at half its speed its experts take twice as long.
TEST_F(Faults, ASlowGpuTakesLongerToCompute) {
  expect_cost(R"(faults.gpus=["node0/gpu0: 0.5"])", {"gpu node0/gpu0 computes at 50 %"});
  const auto slowest = [](const json& report) -> double {
    return report["steps"][0]["layers"][0]["phases"]["experts"]["max_s"];
  };
  EXPECT_GT(slowest(run({R"(faults.gpus=["node0/gpu0: 0.5"])"})), 1.5 * slowest(run({})));
}

TEST_F(Faults, ANicThatIsDownIsGoneRoundWhereThePathsCan) {
  const std::string down = R"(faults.nics=["node1/nic1: down"])";
  const json whole = run({"network.paths=rail_aligned"});
  const json broken = run({down, "network.paths=rail_aligned"});
  EXPECT_GT(step(broken), step(whole));
  for (const json& link : broken["steps"][0]["layers"][0]["hot"]["links"]) {
    EXPECT_THAT(link["name"].get<std::string>(), testing::Not(HasSubstr("node1/nic1")));
  }
}

TEST_F(Faults, AnUnreachablePairNamesTheLinksThatAreDown) {
  const auto refused = [&](const std::string& faults) {
    const Outcome outcome = moesim({"run", "scenario.toml", "--set", faults});
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    return outcome.err;
  };
  EXPECT_EQ(refused(R"(faults.nics=["node1/nic1: down"])"),
            "error: no path from node0/gpu0 to node1/gpu1: every path crosses a link that is down: "
            "pod0/rail1/leaf -> node1/nic1\n");
  EXPECT_EQ(refused(R"(faults.links=["node0/gpu0 -> domain0/switch: down"])"),
            "error: no path from node0/gpu0 to node0/gpu1: every path crosses a link that is down: "
            "node0/gpu0 -> domain0/switch\n");
  EXPECT_EQ(refused(R"(faults.switches=["spine*: down"])"),
            "error: no path from node0/gpu0 to node1/gpu1: every path crosses a link that is down: "
            "pod0/rail0/leaf -> spine0, pod0/rail0/leaf -> spine1\n");
}

TEST_F(Faults, RandomOnesFollowTheirSeedAlone) {
  const std::vector<std::string> half = {"faults.random_nics=0.5", "faults.random_remaining=0.25"};
  const auto with = [&](const std::string& more) {
    std::vector<std::string> overrides = half;
    overrides.push_back(more);
    return run(overrides);
  };
  const json once = with("faults.seed=5");
  EXPECT_EQ(with("faults.seed=5"), once);
  EXPECT_EQ(run({"faults.random_nics=0.5",
                 "faults.random_remaining=0.25",
                 "faults.seed=5",
                 "seed=8"})["faults"],
            once["faults"]);
  EXPECT_THAT(once["faults"].get<std::vector<std::string>>(),
              Each(EndsWith(" is at 25 % by chance")));
  std::set<json> different;
  for (int seed = 1; seed <= 8; ++seed) {
    different.insert(with("faults.seed=" + std::to_string(seed))["faults"]);
  }
  EXPECT_GT(different.size(), 3U);
}

TEST_F(Faults, AreTheSameAtAnyThreadCount) {
  const auto at = [&](const char* threads) {
    return moesim({"run",
                   "scenario.toml",
                   "--json",
                   "--threads",
                   threads,
                   "--set",
                   "faults.random_gpus=0.5"})
        .out;
  };
  EXPECT_EQ(at("1"), at("4"));
}

TEST_F(Faults, RunAndExplainShowThemAndWhatTheyCost) {
  const std::string nic = R"(faults.nics=["node0/nic0: 0.1"])";
  const std::string run_text = moesim({"run", "scenario.toml", "--set", nic}).out;
  EXPECT_THAT(run_text, HasSubstr("\nfault: nic node0/nic0 is at 10 %\n"));
  EXPECT_THAT(run_text, testing::ContainsRegex("\nfaults change the step by [+][0-9.]+ %: "));
  EXPECT_THAT(run_text,
              testing::ContainsRegex("  dispatch [0-9.]+ us: at least [0-9.]+ us on these"));
  const std::string explained = moesim({"explain", "scenario.toml", "--set", nic}).out;
  EXPECT_THAT(explained,
              HasSubstr("\nwhat the faults change, means over steps\nlayer  with faults"));
  EXPECT_THAT(explained, HasSubstr("\nfault: nic node0/nic0 is at 10 %\n"));
  EXPECT_THAT(moesim({"explain", "scenario.toml"}).out,
              testing::AllOf(HasSubstr("\nwhat no network schedule beats: "),
                             testing::Not(HasSubstr("faults"))));
}

}  // namespace
}  // namespace moesim::cli_tests
