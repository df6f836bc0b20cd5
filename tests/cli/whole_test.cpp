// SPDX-License-Identifier: Apache-2.0
// `moesim run` of a whole model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/cli/scene.hpp"

namespace moesim::cli_tests {
namespace {

using testing::HasSubstr;

class Whole : public Scene {
 protected:
  static std::vector<std::string> run(std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {
        "run", "scenario.toml", "--set", "step.kind=decode", "--set", "batch.context_tokens=1000"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
};

// The ranks of a one-layer model all begin their layer after the same attention, and all end with
// the same head, so the MoE layer takes what it takes alone.
TEST_F(Whole, IsAttentionTheMoeLayerAndTheHead) {
  const std::vector<std::string> one = {"--set", "model.layers=1", "--set", "model.moe_layers=1"};
  std::vector<std::string> more = one;
  more.emplace_back("--json");
  const nlohmann::json whole = json_of(run(more))["steps"];
  const nlohmann::json alone = json_of({"run",
                                        "scenario.toml",
                                        "--set",
                                        "model.layers=1",
                                        "--set",
                                        "model.moe_layers=1",
                                        "--json"})["steps"];
  ASSERT_EQ(whole.size(), 3U);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    const nlohmann::json& parts = whole[i]["critical_path"];
    EXPECT_NEAR(whole[i]["makespan_s"].get<double>(),
                parts["attention_s"].get<double>() + alone[i]["makespan_s"].get<double>() +
                    parts["head_s"].get<double>(),
                1e-12);
    EXPECT_GT(parts["attention_s"].get<double>(), 0);
  }
}

TEST_F(Whole, PartsAddUpAndRatesFollow) {
  const nlohmann::json json = json_of(
      run({"--json", "--set", "parallel.tp=2", "--set", "dispatch.dispatcher=low_latency"}));
  EXPECT_EQ(json["format"], "moesim-whole-report");
  EXPECT_EQ(json["step_kind"], "decode");
  EXPECT_EQ(json["evidence"]["grade"], "assumed");
  for (const nlohmann::json& step : json["steps"]) {
    double sum = 0;
    for (const auto& [name, seconds] : step["critical_path"].items()) {
      sum += seconds.get<double>();
    }
    EXPECT_NEAR(sum, step["makespan_s"].get<double>(), 1e-12);
    EXPECT_GT(step["critical_path"]["tensor_parallel_s"].get<double>(), 0);
  }
  const nlohmann::json& summary = json["summary"];
  const double per_rank = 16 / summary["step_s"]["mean"].get<double>();
  EXPECT_DOUBLE_EQ(summary["tokens_per_s_per_rank"].get<double>(), per_rank);
  EXPECT_DOUBLE_EQ(summary["tokens_per_s_per_node"].get<double>(), 2 * per_rank);
  EXPECT_DOUBLE_EQ(summary["tokens_per_s"].get<double>(), 4 * per_rank);
}

TEST_F(Whole, IsNotSimulatedWithoutItsLostRanks) {
  const Outcome outcome = moesim(run({"--set",
                                      "faults.nodes=[\"node1\"]",
                                      "--set",
                                      "placement.kind=eplb",
                                      "--set",
                                      "placement.slots=16"}));
  EXPECT_EQ(outcome.code, 2);
  EXPECT_EQ(outcome.err,
            "error: faults.nodes: a whole model is not simulated without its lost ranks\n");
}

TEST_F(Whole, IsTheSameAtAnyThreadCount) {
  const Outcome one = moesim(run({"--json", "--threads", "1"}));
  const Outcome two = moesim(run({"--json", "--threads", "2"}));
  EXPECT_EQ(one.code, 0) << one.err;
  EXPECT_EQ(one.out, two.out);
}

TEST_F(Whole, ShowsTheTimePerTokenOfDecodeOnly) {
  const Outcome decode = moesim(run());
  EXPECT_EQ(decode.code, 0) << decode.err;
  EXPECT_THAT(
      decode.out,
      HasSubstr("scenario.toml: 3 decode step(s) of toy on 4 ranks, tp 1, 16 tokens a rank,"));
  EXPECT_THAT(decode.out, HasSubstr("evidence: assumed (invented for a test)\n"));
  EXPECT_THAT(decode.out, HasSubstr("\ntime per output token: "));
  EXPECT_THAT(decode.out,
              HasSubstr("note: attention, dense layers and head use the constants of the experts' "
                        "GEMMs\n  and of memory; nothing overlaps\n"));
  const Outcome prefill =
      moesim(run({"--set", "step.kind=prefill", "--set", "batch.context_tokens=16"}));
  EXPECT_EQ(prefill.code, 0) << prefill.err;
  EXPECT_THAT(prefill.out, HasSubstr("\ntokens/s: "));
  EXPECT_THAT(prefill.out, testing::Not(HasSubstr("time per output token")));
}

TEST_F(Whole, ALongerContextTakesLonger) {
  const auto attention = [&](const std::string& context) {
    return json_of(
               run({"--json",
                    "--set",
                    "batch.context_tokens=" + context}))["summary"]["critical_path"]["attention_s"]
        .get<double>();
  };
  EXPECT_GT(attention("100000"), 2 * attention("1000"));
}

TEST_F(Whole, OutHoldsAScenarioThatRunsAgain) {
  const Outcome first = moesim(run({"--out", "result"}));
  EXPECT_EQ(first.code, 0) << first.err;
  EXPECT_THAT(first.err, testing::StartsWith("results: result/report.json; "));
  const nlohmann::json report = nlohmann::json::parse(read("result/report.json"));
  write("again.toml", read("result/scenario.toml"));
  EXPECT_EQ(json_of({"run", "again.toml", "--json"})["steps"], report["steps"]);
}

// The same command, another model: dense.
TEST_F(Whole, ADenseModelRunsWithoutRouting) {
  const Outcome outcome = moesim(run({"--set",
                                      "model.moe_layers=0",
                                      "--set",
                                      "model.num_experts=0",
                                      "--set",
                                      "model.top_k=0",
                                      "--set",
                                      "model.expert_width=0",
                                      "--set",
                                      "model.dense_width=512"}));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("\ndense "));
  EXPECT_THAT(outcome.out, testing::Not(HasSubstr("\ndispatch ")));
  EXPECT_THAT(
      outcome.out,
      HasSubstr("note: a dense model: [routing], [capacity], [placement] and [dispatch] say\n"
                "  nothing\n"));
}

}  // namespace
}  // namespace moesim::cli_tests
