// SPDX-License-Identifier: Apache-2.0
// `moesim compare`: a change that is one, a change that is none, results as inputs, and mistakes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/cli/scene.hpp"

namespace moesim::cli_tests {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

class Compares : public Scene {};

TEST_F(Compares, ASlowerNicIsNamedWithItsCost) {
  const json report = json_of(
      {"compare", "scenario.toml", "--set-b", "faults.nics=[\"node0/nic0: 0.1\"]", "--json"});
  EXPECT_EQ(report["format"], "moesim-compare");
  ASSERT_EQ(report["changed"].size(), 1U);
  EXPECT_EQ(report["changed"][0]["key"], "faults.nics");
  EXPECT_EQ(report["step"]["verdict"], "more");
  const json a = json_of({"run", "scenario.toml", "--json", "--seed", report["seeds"][0].dump()});
  EXPECT_EQ(report["a"]["seed"], a["seed"]);
  EXPECT_EQ(report["layers"].size(), 2U);
}

TEST_F(Compares, TheSameTwiceIsNoDifference) {
  const json report =
      json_of({"compare", "scenario.toml", "scenario.toml", "--json", "--seeds", "2"});
  EXPECT_EQ(report["step"]["verdict"], "none");
  EXPECT_EQ(report["step"]["change_s"], 0.0);
  EXPECT_EQ(report["changed"].size(), 0U);
  EXPECT_EQ(report["seeds"].size(), 2U);
}

// The trace of the scene is named relative to its scenario, which a result folder is not beside.
TEST_F(Compares, ResultFoldersStandForTheirScenarios) {
  const std::string trace = "routing.trace=" + (folder() / "pack").string();
  ASSERT_EQ(moesim({"run", "scenario.toml", "--out", "a"}).code, 0);
  ASSERT_EQ(moesim({"run", "scenario.toml", "--out", "b", "--set", "batch.tokens_per_rank=8"}).code,
            0);
  const Outcome outcome =
      moesim({"compare", "a", "b", "--out", "both", "--seeds", "2", "--set", trace});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("\nchanged\n  batch.tokens_per_rank: 16 -> 8\n"));
  EXPECT_THAT(read("both/compare.csv"),
              HasSubstr("quantity,unit,a,b,change,half_width,verdict\nstep,s,"));
  EXPECT_EQ(json::parse(read("both/compare.json"))["changed"].size(), 1U);
}

TEST_F(Compares, MistakesAreNamed) {
  EXPECT_EQ(moesim({"compare", "scenario.toml"}).err,
            "error: compare: nothing to compare with; name B, or change it with --set-b\n");
  EXPECT_EQ(moesim({"compare", "pack", "scenario.toml"}).err,
            "error: pack: a folder without scenario.toml; name a scenario or a result folder\n");
  write("results/other.txt", "mine");
  EXPECT_EQ(moesim({"compare", "scenario.toml", "scenario.toml", "--out", "results"}).err,
            "error: --out results: exists and is not a result folder; name another folder\n");
}

}  // namespace
}  // namespace moesim::cli_tests
