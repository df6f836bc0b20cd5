// SPDX-License-Identifier: Apache-2.0
// Generated routings as a user meets them: generate, fit, simulate.
#include <gmock/gmock.h>
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
  EXPECT_THAT(fit.out, HasSubstr("unseen sequences"));
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

}  // namespace
}  // namespace moesim::cli_tests
