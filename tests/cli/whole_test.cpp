// SPDX-License-Identifier: Apache-2.0
// `moesim run` of a whole model.
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>

#include "sim/moe/traces/gzip.hpp"
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
  EXPECT_EQ(json_of({"run", "result/scenario.toml", "--json"})["steps"], report["steps"]);
}

// Compute of a rank and its kernels, read back: the last span ends where the step does, attention
// is there once a layer and rank, and with two micro-batches no track has two things at once.
TEST_F(Whole, TheTimelineIsThatOfTheSlowestStep) {
  const nlohmann::json report =
      json_of(run({"--json", "--timeline", "--out", "result", "--set", "step.overlap=two_batch"}));
  const nlohmann::json timeline =
      nlohmann::json::parse(traces::read_text(folder() / "result/timeline.json.gz", 1U << 26U));
  const std::size_t step = timeline["otherData"]["step"];
  std::map<std::pair<int, int>, std::vector<std::pair<double, double>>> tracks;
  std::map<std::string, int> count;
  double last = 0.0;
  for (const nlohmann::json& event : timeline["traceEvents"]) {
    if (event["ph"] == "X") {
      const double from = event["ts"].get<double>();
      const double to = from + event["dur"].get<double>();
      last = std::max(last, to);
      const std::string name = event["name"].get<std::string>();
      ++count[name];
      if (name != "kernel start") {
        tracks[{event["pid"].get<int>(), event["tid"].get<int>()}].emplace_back(from, to);
      }
    }
  }
  EXPECT_NEAR(last * 1e-6, report["steps"][step]["makespan_s"].get<double>(), 1e-12);
  EXPECT_EQ(count["attention"], 2 * 2 * 4);  // layers, micro-batches, ranks
  EXPECT_EQ(count["dispatch"], count["combine"]);
  EXPECT_EQ(tracks.size(), 4U * 3U);
  for (auto& [track, spans] : tracks) {
    std::sort(spans.begin(), spans.end());
    for (std::size_t i = 1; i < spans.size(); ++i) {
      EXPECT_LE(spans[i - 1].second, spans[i].first + 1e-6) << track.first << ", " << track.second;
    }
  }
}

// Two stages of two ranks, one layer each, with two micro-batches under way.
TEST_F(Whole, RunsOnAPipelineOfStages) {
  const std::vector<std::string> stages = {
      "--set", "parallel.ep=2", "--set", "parallel.pp=2", "--set", "batch.micro_batches=2"};
  const auto on_stages = [&](std::vector<std::string> more) {
    more.insert(more.end(), stages.begin(), stages.end());
    return run(std::move(more));
  };
  const nlohmann::json json = json_of(on_stages({"--json"}));
  for (const nlohmann::json& step : json["steps"]) {
    double sum = 0;
    for (const auto& [name, seconds] : step["critical_path"].items()) {
      sum += seconds.get<double>();
    }
    EXPECT_NEAR(sum, step["makespan_s"].get<double>(), 1e-12);
    EXPECT_GT(step["critical_path"]["bubble_s"].get<double>(), 0);  // the head
    EXPECT_FALSE(step["critical_path"].contains("optimiser_s"));
  }
  const nlohmann::json& summary = json["summary"];
  const double step = summary["step_s"]["mean"].get<double>();
  EXPECT_EQ(summary["gpus"], 4);
  EXPECT_DOUBLE_EQ(summary["tokens_per_s"].get<double>(), 2 * 2 * 16 / step);
  EXPECT_DOUBLE_EQ(summary["tokens_per_s_per_rank"].get<double>(), 2 * 2 * 16 / step / 4);
  const Outcome text = moesim(on_stages({}));
  EXPECT_THAT(text.out, HasSubstr("on 4 GPUs, ep 2, tp 1, pp 2, 2\n  micro-batch(es)"));
  EXPECT_THAT(text.out, HasSubstr("\ntime of a stage "));
  EXPECT_THAT(text.out, HasSubstr("\npipeline bubble: "));
  EXPECT_EQ(
      moesim(on_stages({"--timeline", "--out", "result"})).err,
      "error: --timeline: not of pipelines of prefill or decode, whose stages are simulated one "
      "by one\n");
  EXPECT_THAT(moesim(run({"--set", "batch.micro_batches=2"})).err,
              HasSubstr("error: batch.micro_batches: 2 are of pipelines, but step.kind = decode "));
  EXPECT_EQ(moesim(run({"--set", "batch.micro_batches=1"})).code, 0);
  const auto cache = [&](std::vector<std::string> arguments) {
    arguments.front() = "memory";
    return json_of(arguments)["stages"][0]["parts"]["KV_cache_bytes"].get<double>();
  };
  EXPECT_EQ(cache(on_stages({"--json"})), cache(run({"--json"})));  // 2 micro-batches, 1 layer of 2
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

TEST_F(Whole, TwoHalvesTakeTurns) {
  const nlohmann::json one = json_of(run({"--json"}));
  const Outcome outcome = moesim(run({"--set", "step.overlap=two_batch"}));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("on 4 ranks, tp 1, overlap two_batch, 16\n  tokens a rank"));
  EXPECT_THAT(outcome.out, HasSubstr("two halves of the batch take turns\n"));
  const nlohmann::json two = json_of(run({"--json", "--set", "step.overlap=two_batch"}));
  EXPECT_GT(two["summary"]["communication_s"].get<double>(),
            two["summary"]["exposed_communication_s"].get<double>());
  EXPECT_EQ(one["overlap"], "none");
}

}  // namespace
}  // namespace moesim::cli_tests
