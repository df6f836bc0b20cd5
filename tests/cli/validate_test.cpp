// SPDX-License-Identifier: Apache-2.0
// `moesim validate` as a user runs it.
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/cli/scene.hpp"

namespace moesim::cli_tests {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

class Validate : public Scene {
 protected:
  /// A file of cases on the scene's scenario; `measured` of a step's time in us.
  void write_cases(const std::string& measured, const std::string& set = "") const {
    write("cases.csv",
          "case,tier,scenario,set,quantity,measured,unit,source\n"
          "step,unseen,scenario.toml," +
              set + ",summary.step_s.mean," + measured +
              ",us,ours\n"
              "hot,fitted,scenario.toml," +
              set + ",summary.rank_imbalance_ratio,1,1,ours\n");
  }
};

TEST_F(Validate, PutsThePredictionOfTheRunBesideTheMeasurement) {
  const double step_s = json_of({"run", "scenario.toml", "--json"})["summary"]["step_s"]["mean"];
  write_cases("100");
  const nlohmann::json report = json_of({"validate", "cases.csv", "--json"});
  EXPECT_EQ(report["format"], "moesim-validation");
  EXPECT_EQ(report["cases"][0]["case"], "step");
  EXPECT_DOUBLE_EQ(report["cases"][0]["predicted"], step_s * 1e6);
  EXPECT_DOUBLE_EQ(report["cases"][0]["error_ratio"], step_s * 1e6 / 100 - 1);
  EXPECT_EQ(report["tiers"][0]["tier"], "unseen");
  EXPECT_EQ(report["tiers"][1]["tier"], "fitted");
  EXPECT_EQ(report["tiers"][0]["cases"], 1);
}

TEST_F(Validate, OverridesReachTheScenario) {
  write_cases("100", "batch.steps=1; seed=9");
  const double step_s = json_of({"run",
                                 "scenario.toml",
                                 "--json",
                                 "--set",
                                 "batch.steps=1",
                                 "--seed",
                                 "9"})["summary"]["step_s"]["mean"];
  EXPECT_DOUBLE_EQ(json_of({"validate", "cases.csv", "--json"})["cases"][0]["predicted"],
                   step_s * 1e6);
}

// Whole steps and requests over time, as moesim run has them.
TEST_F(Validate, RunsWholeModelsAndServing) {
  const std::string decode = "step.kind=decode; batch.context_tokens=1000";
  const std::string serving =
      "step.kind=serving; requests.count=20; requests.rate=100; requests.prompt_tokens=50; "
      "requests.output_tokens=5; requests.check_steps=0";
  edit_scenario("[batch]\ntokens_per_rank = 16\nsteps = 3\n", "");
  write("whole.toml", read("scenario.toml"));
  write("cases.csv",
        "case,tier,scenario,set,quantity,measured,unit,source\n"
        "decode,end_to_end,whole.toml,batch.tokens_per_rank=16; " +
            decode +
            ",summary.tokens_per_s_per_node,1000,1/s,ours\n"
            "tpot,end_to_end,whole.toml," +
            serving + ",summary.tpot_s.mean,2,ms,ours\n");
  const nlohmann::json cases = json_of({"validate", "cases.csv", "--json"})["cases"];
  ASSERT_EQ(cases.size(), 2U);
  const nlohmann::json run = json_of({"run",
                                      "whole.toml",
                                      "--json",
                                      "--set",
                                      "batch.tokens_per_rank=16",
                                      "--set",
                                      "step.kind=decode",
                                      "--set",
                                      "batch.context_tokens=1000"});
  EXPECT_DOUBLE_EQ(cases[0]["predicted"], run["summary"]["tokens_per_s_per_node"]);
  EXPECT_EQ(cases[0]["unit"], "1/s");
  EXPECT_GT(cases[1]["predicted"], 0);
}

TEST_F(Validate, ShowsTablesAndWritesFiles) {
  write_cases("100");
  const Outcome outcome = moesim({"validate", "cases.csv", "--out", "validation"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, StartsWith("unseen\ncase  measured  predicted  unit  error %"));
  EXPECT_THAT(outcome.out, HasSubstr("error by tier in %: of the size, and signed (bias: median)"));
  EXPECT_THAT(read("validation/validation.csv"),
              StartsWith("case,tier,quantity,unit,measured,predicted,error_ratio,grade,source\n"
                         "step,unseen,summary.step_s.mean,us,100,"));
  EXPECT_THAT(read("validation/validation.svg"), HasSubstr("unseen: 1 cases"));
  EXPECT_EQ(nlohmann::json::parse(read("validation/validation.json"))["cases"].size(), 2U);
}

TEST_F(Validate, SaysWhichCaseCannotBeRun) {
  write_cases("100", "batch.stepz=1");
  const Outcome outcome = moesim({"validate", "cases.csv"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err,
              StartsWith("cases.csv:2:1: error: case \"step\" cannot be run:\n--set "
                         "batch.stepz=1: error: batch.stepz: unknown key"));
  write("cases.csv",
        "case,tier,scenario,set,quantity,measured,unit,source\n"
        "a,t,nowhere.toml,,summary.step_s.mean,1,us,x\n");
  const Outcome missing = moesim({"validate", "cases.csv"});
  EXPECT_EQ(missing.code, 1);
  EXPECT_EQ(missing.err,
            "error: cases.csv:2: case \"a\" cannot be run: cannot read nowhere.toml: No such file "
            "or directory\n");
  EXPECT_THAT(entries(), ElementsAre("cases.csv", "data", "pack", "scenario.toml"));
}

}  // namespace
}  // namespace moesim::cli_tests
