// SPDX-License-Identifier: Apache-2.0
// `moesim compare`: a change that is one, a change that is none, results as inputs, and mistakes.
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>

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

// The parts of a whole model's critical path sum to its step on both sides.
TEST_F(Compares, WholeModelsByPartAndByRate) {
  const json report = json_of({"compare",
                               "scenario.toml",
                               "--set",
                               "step.kind=decode",
                               "--set",
                               "batch.context_tokens=1000",
                               "--set-b",
                               "faults.nics=[\"node0/nic0: 0.1\"]",
                               "--seeds",
                               "2",
                               "--json"});
  EXPECT_EQ(report["step_kind"], "decode");
  double sum = 0.0;
  for (const json& part : report["critical_path"]) {
    sum += part["change_s"].get<double>();
  }
  EXPECT_NEAR(sum, report["step"]["change_s"].get<double>(), 1e-12);
  EXPECT_GT(sum, 0.0);
  const auto rate = std::find_if(report["rates"].begin(), report["rates"].end(), [](const json& d) {
    return d["name"] == "tokens per s per rank";
  });
  ASSERT_NE(rate, report["rates"].end());
  EXPECT_LT((*rate)["change_per_s"].get<double>(), 0.0);
  const json run = json_of({"run",
                            "scenario.toml",
                            "--set",
                            "step.kind=decode",
                            "--set",
                            "batch.context_tokens=1000",
                            "--seed",
                            "3",
                            "--json"});
  const json one = json_of({"compare",
                            "scenario.toml",
                            "scenario.toml",
                            "--set",
                            "step.kind=decode",
                            "--set",
                            "batch.context_tokens=1000",
                            "--seed",
                            "3",
                            "--seeds",
                            "1",
                            "--json"});
  EXPECT_EQ(one["step"]["a_s"], run["summary"]["step_s"]["mean"]);
}

TEST_F(Compares, RequestsOverTimeByWhatTheyMeet) {
  edit_scenario("[batch]\ntokens_per_rank = 16\nsteps = 3\n",
                "[requests]\nrate = 100\ncount = 30\nprompt_tokens = 200\noutput_tokens = "
                "20\ncheck_steps = 0\n\n[step]\nkind = \"serving\"\n");
  const Outcome outcome = moesim(
      {"compare", "scenario.toml", "--set-b", "requests.rate=50", "--seeds", "1", "--out", "both"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("1 seed(s) from 7, 30 request(s) each; evidence: A assumed"));
  EXPECT_THAT(outcome.out, HasSubstr("\nlatency, mean "));
  EXPECT_THAT(outcome.out, HasSubstr("\nttft p99 "));
  const json report = json::parse(read("both/compare.json"));
  const json alone = json_of({"run", "scenario.toml", "--json"});
  EXPECT_EQ(report["step"]["a_s"], alone["summary"]["latency_s"]["mean"]);
  EXPECT_EQ(report["changed"][0]["key"], "requests.rate");
  EXPECT_EQ(report["layers"].size(), 0U);
}

TEST_F(Compares, MistakesAreNamed) {
  EXPECT_EQ(moesim({"compare",
                    "scenario.toml",
                    "--set-b",
                    "step.kind=decode",
                    "--set-b",
                    "batch.context_tokens=1000"})
                .err,
            "error: compare: step.kind is \"moe_layers\" in A and \"decode\" in B\n");
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
