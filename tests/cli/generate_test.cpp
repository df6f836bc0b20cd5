// SPDX-License-Identifier: Apache-2.0
// Generated routings as a user meets them: generate, fit, simulate.
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/cli/scene.hpp"

namespace moesim::cli_tests {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr const char* kGenerator = R"(source = "generated"
[generated]
fitted_on = "a test"
experts = 8
top_k = 2
layers = 4
popularity_sigma = 0.8
request_sigma = 0.6
request_tokens = 96
)";

class Generated : public Scene {
 protected:
  Generated() { write("g.toml", kGenerator); }
};

TEST_F(Generated, APackSaysWhatItIs) {
  const Outcome made = moesim({"trace", "generate", "./g.toml", "made", "--requests", "20"});
  EXPECT_EQ(made.code, 0) << made.err;
  EXPECT_EQ(made.out,
            "made: generated, fitted on a test\n1920 tokens in 20 requests, 4 layers x 8 experts, "
            "top-2, seed 1\n");
  EXPECT_THAT(read("made/pack.json"), HasSubstr("\"source\": \"generated, fitted on a test\""));
  const json info = json_of({"trace", "info", "made", "--json"});
  EXPECT_EQ(info["tokens"], 1920);
  EXPECT_EQ(info["rank_imbalance"].size(), 3U);  // 2, 4 and 8 ranks
  EXPECT_EQ(info["rank_imbalance"][2]["ranks"], 8);
  EXPECT_GT(info["rank_imbalance"][2]["max_over_mean_minus_1"]["median"], 0.2);
  const std::string text = moesim({"trace", "info", "made"}).out;
  EXPECT_THAT(text, HasSubstr("EP8"));
  EXPECT_THAT(text, HasSubstr("\n   3 |"));
}

TEST_F(Generated, TheSameSeedMakesTheSamePack) {
  const std::vector<std::string> command = {"trace", "generate", "./g.toml", "made"};
  EXPECT_EQ(moesim(command).code, 0);
  const std::string first = read("made/topk.npy.gz");
  EXPECT_EQ(moesim({"trace", "generate", "./g.toml", "made", "--overwrite"}).code, 0);
  EXPECT_EQ(read("made/topk.npy.gz"), first);
  EXPECT_EQ(moesim({"trace", "generate", "./g.toml", "made", "--overwrite", "--seed", "2"}).code,
            0);
  EXPECT_NE(read("made/topk.npy.gz"), first);
}

TEST_F(Generated, MistakesAreNamed) {
  write("bare.toml", "source = \"generated\"\n[generated]\ngroups = 4\n");
  const auto refusal = [&](std::vector<std::string> more) {
    std::vector<std::string> command = {"trace", "generate", "./bare.toml", "made"};
    command.insert(command.end(), more.begin(), more.end());
    const Outcome outcome = moesim(command);
    EXPECT_EQ(outcome.code, 2);
    return outcome.err;
  };
  EXPECT_EQ(refusal({}), "error: --experts is needed: the generator does not say it\n");
  EXPECT_EQ(refusal({"--experts", "8", "--top-k", "9", "--layers", "1"}),
            "error: --top-k 9: more than the 8 experts of a layer\n");
  EXPECT_EQ(refusal({"--experts", "8", "--top-k", "4", "--layers", "1"}),
            "error: 1 of 4 groups do not fit 8 experts, top-4\n");
  EXPECT_EQ(
      refusal({"--experts", "8", "--top-k", "2", "--layers", "60000", "--requests", "9999999"}),
      "error: 6.1e+14 assignments; a pack is made of at most 1e+10\n");
}

TEST_F(Generated, AFitWritesWhatGenerateReads) {
  ASSERT_EQ(moesim({"trace", "generate", "./g.toml", "made", "--requests", "40"}).code, 0);
  const Outcome fit =
      moesim({"trace", "fit", "made", "--name", "the pack made", "--out", "fitted.toml"});
  EXPECT_EQ(fit.code, 0) << fit.err;
  EXPECT_THAT(fit.out, testing::ContainsRegex("\nunseen sequences +recorded +generated +error\n"));
  EXPECT_THAT(
      fit.out,
      testing::ContainsRegex("\ncoefficient of variation \\* +[0-9.]+ +[0-9.]+ +[-+][0-9]+ %\n"));
  EXPECT_THAT(fit.out, HasSubstr("* the fit aimed at it"));
  EXPECT_THAT(read("fitted.toml"), HasSubstr("fitted_on = \"the pack made (sha256 "));
  EXPECT_EQ(moesim({"trace", "generate", "./fitted.toml", "again"}).code, 0);
  const json report = json_of({"trace", "fit", "made", "--json"});
  EXPECT_EQ(report["format"], "moesim-trace-fit");
  EXPECT_GT(report["rows"].size(), 8U);
}

TEST_F(Generated, AScenarioDrawsItsRouting) {
  edit_scenario("trace = \"./pack\"", "preset = \"./g.toml\"");
  edit_scenario("layers = 2\nmoe_layers = 2\n", "layers = 4\nmoe_layers = 4\n");
  const json report = json_of({"run", "scenario.toml", "--json"});
  EXPECT_EQ(report["routing"]["origin"], "generated");
  EXPECT_THAT(report["routing"]["draw"].get<std::string>(),
              testing::StartsWith("generated, fitted on a test; "));
  EXPECT_EQ(json_of({"run", "scenario.toml", "--json", "--threads", "3"}), report);
}

TEST_F(Generated, ItsGateWeightsAndCandidatesServeEveryPolicy) {
  edit_scenario("trace = \"./pack\"", "source = \"generated\"");
  const json sweep = json_of({"capacity",
                              "scenario.toml",
                              "--json",
                              "--factors",
                              "1",
                              "--scopes",
                              "rank",
                              "--policies",
                              "drop,next_best,expert_choice",
                              "--set",
                              "capacity.policy=drop",
                              "--set",
                              "capacity.order=weight"});
  EXPECT_EQ(sweep["routing"]["has_gate_weights"], true);
  ASSERT_EQ(sweep["curves"].size(), 3U);
  const auto point = [&](std::size_t curve) { return sweep["curves"][curve]["points"][0]; };
  EXPECT_GT(point(0)["dropped_assignments"], 0);
  // Served by weight, what is dropped weighs less than its share.
  EXPECT_LT(point(0)["dropped_gate_weight_ratio"]["mean"], point(0)["dropped_ratio"]["mean"]);
  EXPECT_LT(point(1)["dropped_assignments"], point(0)["dropped_assignments"]);
  EXPECT_GT(point(2)["diverted_assignments"], 0);
  EXPECT_THAT(sweep["notes"],
              testing::Contains("gate weights are generated: a softmax of the scores times 0.5"));
  const Outcome without = moesim({"run",
                                  "scenario.toml",
                                  "--set",
                                  "routing.generated.gate_weights=none",
                                  "--set",
                                  "capacity.policy=expert_choice"});
  EXPECT_EQ(without.err,
            "error: capacity.policy: expert_choice needs gate weights; the generator has none\n");
}

TEST_F(Generated, GroupsThatLeaveNoCandidatesAreNamed) {
  edit_scenario("trace = \"./pack\"",
                "source = \"generated\"\ngenerated.groups = 4\ngenerated.top_groups = 1");
  const Outcome outcome = moesim({"run", "scenario.toml", "--set", "capacity.policy=next_best"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_EQ(
      outcome.err,
      "error: capacity.policy: next_best needs a trace with more than model.top_k = 2 experts "
      "a token; the generator has 2\n");
}

TEST_F(Generated, WhatIsPutTogetherIsSaid) {
  const auto joins = [&](std::vector<std::string> more) {
    std::vector<std::string> command = {"run", "scenario.toml", "--json"};
    for (std::string& set : more) {
      command.insert(command.end(), {"--set", std::move(set)});
    }
    return json_of(command)["joins"];
  };
  EXPECT_EQ(joins({}), json::array());
  EXPECT_EQ(joins({"model.name=other"}),
            json({"routing was recorded from toy; layer sizes are those of other"}));
  const std::vector<std::string> drawn = {"routing.trace=\"\"", "routing.source=generated"};
  EXPECT_EQ(joins(drawn), json({"routing is made up; layer sizes are those of toy"}));
  std::vector<std::string> fitted = drawn;
  fitted.emplace_back("routing.generated.fitted_on=x");
  EXPECT_EQ(joins(fitted),
            json({"routing is drawn from numbers fitted on x; layer sizes are those of toy"}));
  const std::string lengths =
      "sequence lengths are batch.context_tokens; the routing's sequences have lengths of their "
      "own";
  const std::vector<std::string> whole = {"step.kind=decode", "batch.context_tokens=64"};
  EXPECT_EQ(joins(whole),
            json({"the routing is one of prefill; the step is one of decode", lengths}));
  const Outcome text = moesim({"check", "scenario.toml", "--set", "model.name=other"});
  EXPECT_THAT(text.err,
              HasSubstr("joined: routing was recorded from toy; layer sizes are those of other\n"));
  EXPECT_THAT(moesim({"run", "scenario.toml", "--set", "model.name=other"}).out,
              HasSubstr("joined: routing was recorded from toy; layer sizes are those of other\n"));
}

TEST_F(Generated, LoadsAloneAreJoinedWithDrawnTokens) {
  ASSERT_EQ(moesim({"trace",
                    "learn",
                    "counts",
                    "--experts",
                    "8",
                    "--layers",
                    "2",
                    "--steps",
                    "3",
                    "--tokens",
                    "64"})
                .code,
            0);
  EXPECT_EQ(json_of({"run", "scenario.toml", "--json", "--set", "routing.trace=./counts"})["joins"],
            json({"loads were recorded, tokens are drawn to meet them: which experts meet in a "
                  "token is chance"}));
}

class Learned : public Scene {
 protected:
  Learned() {
    edit_scenario("trace = \"./pack\"",
                  "source = \"learned\"\nlearned.tokens = 128\nlearned.stride = 25");
  }
};

TEST_F(Learned, TheStepsOfARunGoThroughItsTraining) {
  const json report = json_of({"run", "scenario.toml", "--json"});
  EXPECT_EQ(report["routing"]["origin"], "learned");
  EXPECT_EQ(report["routing"]["has_gate_weights"], true);
  EXPECT_EQ(report["joins"], json({"routing is made up; layer sizes are those of toy"}));
  EXPECT_THAT(report["notes"],
              testing::Contains("routing is assumed: a gate trained on made-up tokens; trust the "
                                "sign and the rough time of collapse and cure, no more"));
  const auto imbalance = [](const json& run, std::size_t step) {
    return run["steps"][step]["layers"][0]["expert_imbalance_ratio"].get<double>();
  };
  EXPECT_GT(imbalance(report, 2), imbalance(report, 0) + 0.5);
  const json cured =
      json_of({"run", "scenario.toml", "--json", "--set", "routing.learned.aux_loss=1"});
  EXPECT_LT(imbalance(cured, 2), imbalance(report, 2) - 0.5);
  EXPECT_EQ(json_of({"run", "scenario.toml", "--json", "--threads", "3"}), report);
}

TEST_F(Learned, FeedsCapacityAndPlace) {
  const json sweep = json_of({"capacity", "scenario.toml", "--json", "--factors", "1"});
  EXPECT_GT(sweep["curves"][0]["points"][0]["dropped_assignments"], 0);
  const json placed = json_of({"place",
                               "scenario.toml",
                               "--json",
                               "--train",
                               "2",
                               "--moves",
                               "300",
                               "--set",
                               "batch.steps=8"});
  EXPECT_EQ(placed["routing"]["origin"], "learned");
}

TEST_F(Learned, ExpertsThatChooseDoSoInTheLayerToo) {
  const json report = json_of({"run",
                               "scenario.toml",
                               "--json",
                               "--set",
                               "routing.learned.expert_choice=true",
                               "--set",
                               "capacity.policy=expert_choice",
                               "--set",
                               "capacity.scope=global"});
  EXPECT_NEAR(report["summary"]["rank_imbalance_ratio"].get<double>(), 1.0, 1e-9);
}

}  // namespace
}  // namespace moesim::cli_tests
