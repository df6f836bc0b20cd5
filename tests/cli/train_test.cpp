// SPDX-License-Identifier: Apache-2.0
// A training step of a whole model, on the scene's cluster.
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

class Train : public Scene {
 protected:
  /// The toy model on two stages of two ranks, one sequence a micro-batch.
  static std::vector<std::string> run(std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"run", "scenario.toml"};
    for (const char* set : {"step.kind=train",
                            "batch.context_tokens=16",
                            "batch.micro_batches=4",
                            "parallel.ep=2",
                            "parallel.pp=2",
                            "memory.zero_stage=1"}) {
      arguments.insert(arguments.end(), {"--set", set});
    }
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
};

// Read back: on every rank passes and bubbles fill the step from 0 to the makespan, no track has
// two things at once, begins have ends, and links are never busier than they can be.
TEST_F(Train, TheTimelineIsThatOfTheSlowestStep) {
  const nlohmann::json report = json_of(run({"--json",
                                             "--timeline",
                                             "--out",
                                             "result",
                                             "--set",
                                             "step.overlap=dualpipe",
                                             "--set",
                                             "memory.recompute=full"}));
  const nlohmann::json timeline =
      nlohmann::json::parse(traces::read_text(folder() / "result/timeline.json.gz", 1U << 26U));
  EXPECT_EQ(timeline["otherData"]["stages"], 2);
  EXPECT_EQ(timeline["otherData"]["ranks"], 4);
  EXPECT_EQ(timeline["otherData"]["ranks_shown"], 4);
  const std::size_t step = timeline["otherData"]["step"];
  const double makespan = report["steps"][step]["makespan_s"].get<double>() * 1e6;
  std::map<std::pair<int, int>, std::vector<std::pair<double, double>>> tracks;
  std::map<std::string, int> count;
  std::map<std::string, int> open;
  std::map<int, std::string> processes;
  double busiest = 0;
  for (const nlohmann::json& event : timeline["traceEvents"]) {
    const std::string phase = event["ph"].get<std::string>();
    const std::string name = event["name"].get<std::string>();
    if (phase == "X") {
      ++count[name];
      if (!name.starts_with("kernel start")) {
        const double from = event["ts"].get<double>();
        tracks[{event["pid"].get<int>(), event["tid"].get<int>()}].emplace_back(
            from, from + event["dur"].get<double>());
      }
    } else if (phase == "b" || phase == "e") {
      open[event["cat"].get<std::string>() + event["id"].dump()] += phase == "b" ? 1 : -1;
      ++count[name];
    } else if (phase == "C" && event["args"].contains("percent")) {
      busiest = std::max(busiest, event["args"]["percent"].get<double>());
    } else if (name == "process_name") {
      processes[event["pid"].get<int>()] = event["args"]["name"].get<std::string>();
    }
  }
  EXPECT_EQ(processes[0], "stage 0, rank 0 (node0/gpu0)");
  EXPECT_EQ(processes[3], "stage 1, rank 3 (node1/gpu1)");
  EXPECT_EQ(processes[4], "network");
  for (auto& [track, spans] : tracks) {
    std::sort(spans.begin(), spans.end());
    for (std::size_t i = 1; i < spans.size(); ++i) {
      EXPECT_LE(spans[i - 1].second, spans[i].first + 1e-5) << track.first << ", " << track.second;
    }
    if (track.second == 1) {  // passes and bubbles
      double sum = 0;
      for (const auto& [from, to] : spans) {
        sum += to - from;
      }
      EXPECT_NEAR(sum, makespan, 1e-5) << track.first;
    }
  }
  EXPECT_TRUE(std::all_of(open.begin(), open.end(), [](const auto& id) { return id.second == 0; }));
  EXPECT_EQ(count["forward 0"], 4);  // ranks
  EXPECT_GT(count["bubble"], 0);
  EXPECT_EQ(count["attention"], 4 * 4);  // ranks, micro-batches; a layer a stage
  EXPECT_EQ(count["attention (backward)"], count["attention"]);
  EXPECT_EQ(count["attention (recompute)"], count["attention"]);
  EXPECT_EQ(count["dispatch"], count["combine (backward)"]);
  EXPECT_GT(count["rows to another stage"], 0);
  EXPECT_EQ(count["rows to another stage"], count["gradients to another stage"]);
  EXPECT_GT(count["dispatch flow"], 0);
  EXPECT_EQ(count["optimiser"], 2 * 4);  // as a turn and as compute
  EXPECT_GT(busiest, 0);
  EXPECT_LE(busiest, 100.01);
}

TEST_F(Train, PartsAddUpAndRatesFollow) {
  const nlohmann::json json = json_of(run({"--json", "--set", "step.overlap=dualpipe"}));
  EXPECT_EQ(json["step_kind"], "train");
  EXPECT_EQ(json["overlap"], "dualpipe");
  for (const nlohmann::json& step : json["steps"]) {
    double sum = 0;
    for (const auto& [name, seconds] : step["critical_path"].items()) {
      sum += seconds.get<double>();
    }
    EXPECT_NEAR(sum, step["makespan_s"].get<double>(), 1e-12);
    EXPECT_GT(step["critical_path"]["bubble_s"].get<double>(), 0);
    EXPECT_GT(step["critical_path"]["optimiser_s"].get<double>(), 0);
  }
  const nlohmann::json& summary = json["summary"];
  const double step = summary["step_s"]["mean"].get<double>();
  EXPECT_EQ(summary["gpus"], 4);
  EXPECT_DOUBLE_EQ(summary["tokens_per_s"].get<double>(), 2 * 4 * 16 / step);
  EXPECT_DOUBLE_EQ(summary["tokens_per_s_per_rank"].get<double>(), 2 * 4 * 16 / step / 4);
  EXPECT_DOUBLE_EQ(summary["bubble_ratio"].get<double>(),
                   summary["critical_path"]["bubble_s"].get<double>() / step);
  EXPECT_DOUBLE_EQ(summary["mfu_ratio"].get<double>(),
                   summary["model_flops"].get<double>() / step / 4 / 900e12);
}

// 4 GPUs at 3 USD/h and 20 kUSD over 5 years; a billion tokens at a quarter of the paid time.
TEST_F(Train, PricesAWholeRun) {
  const std::vector<std::string> prices = {"--set",
                                           "price.source=an offer",
                                           "--set",
                                           "price.basis=quoted",
                                           "--set",
                                           "price.gpu_rent=3 USD/h",
                                           "--set",
                                           "price.gpu_purchase=20 kUSD",
                                           "--set",
                                           "price.depreciation_years=5",
                                           "--set",
                                           "price.gpu_busy=1 kW",
                                           "--set",
                                           "price.utilisation=0.25",
                                           "--set",
                                           "price.training_tokens=1e9"};
  std::vector<std::string> as_json = prices;
  as_json.emplace_back("--json");
  const nlohmann::json json = json_of(run(as_json));
  const double rate = json["summary"]["tokens_per_s"];
  const double hours = 1e9 / (rate * 0.25 * 3600);
  const nlohmann::json& cost = json["money"]["run"];
  EXPECT_EQ(cost["tokens"], 1e9);
  EXPECT_NEAR(cost["hours"], hours, 1e-9 * hours);
  EXPECT_NEAR(cost["days"], hours / 24, 1e-9 * hours);
  EXPECT_NEAR(cost["gpu_hours"], 4 * hours, 1e-9 * hours);
  EXPECT_NEAR(cost["energy_kwh"], hours, 1e-9 * hours);  // 4 kW for a quarter of the time
  EXPECT_NEAR(cost["rented_usd"], 12 * hours, 1e-8 * hours);
  EXPECT_NEAR(cost["owned_usd"], 80'000 / 43'800.0 * hours, 1e-8 * hours);
  const Outcome text = moesim(run(prices));
  EXPECT_THAT(text.out, HasSubstr("\nrun over 1e+09 tokens: "));
  EXPECT_THAT(text.out, HasSubstr(" GPU-hours, "));
  EXPECT_THAT(text.out, HasSubstr(" MWh; "));
  EXPECT_THAT(text.out, HasSubstr(" a million trained tokens\n"));
}

TEST_F(Train, ShowsTheLayoutTheTimeOfAStageAndTheBubble) {
  const Outcome outcome = moesim(run());
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(
      outcome.out,
      HasSubstr("scenario.toml: 3 train step(s) of toy on 4 GPUs, ep 2, tp 1, pp 2, dp 1, 4\n"
                "  micro-batch(es), "));
  EXPECT_THAT(outcome.out, HasSubstr("\ntime of a stage "));
  EXPECT_THAT(outcome.out, HasSubstr("\npipeline bubble: "));
  EXPECT_THAT(outcome.out, HasSubstr("\nmodel arithmetic: "));
  EXPECT_THAT(outcome.out,
              HasSubstr("note: backward passes are assumed to take twice the forward time (2.5 "
                        "times in\n  the core of attention)\n"));
}

TEST_F(Train, IsTheSameAtAnyThreadCount) {
  const std::vector<std::string> samples = {"--json", "--set", "step.samples=2"};
  std::vector<std::string> one = run(samples);
  std::vector<std::string> two = one;
  one.insert(one.end(), {"--threads", "1"});
  two.insert(two.end(), {"--threads", "2"});
  EXPECT_EQ(moesim(one).out, moesim(two).out);
}

TEST_F(Train, ChecksWhatItRuns) {
  std::vector<std::string> arguments = run();
  arguments.front() = "check";
  const Outcome outcome = moesim(arguments);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("note: backward passes are assumed"));
}

TEST_F(Train, RefusesFaultsBesideAPipeline) {
  const Outcome outcome = moesim(run({"--set", "faults.gpus=[\"node0/gpu0: 0.5\"]"}));
  EXPECT_EQ(outcome.code, 2);
  EXPECT_EQ(outcome.err,
            "error: faults: training on more than one group of parallel.ep ranks is simulated "
            "without faults\n");
}

}  // namespace
}  // namespace moesim::cli_tests
