// SPDX-License-Identifier: Apache-2.0
// `moesim plan` of training and of requests over time.
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/cli/plan_scene.hpp"

namespace moesim::cli_tests {
namespace {

using testing::HasSubstr;
using Json = nlohmann::json;

constexpr std::string_view kTraining = R"(scenario = "scenario.toml"

[set]
step.kind = "train"
batch.context_tokens = 16
batch.steps = 1
cluster.nodes = 4
price.source = "invented"
price.basis = "assumed"
price.gpu_rent = "2 USD/h"
price.utilisation = 0.5
price.training_tokens = 1e9

[grid]
parallel.ep = [2, 4]
parallel.pp = [1, 2]
memory.zero_stage = [0, 1]

[[zip]]
parallel.dp = [1, 2, 8]
batch.micro_batches = [8, 4, 1]

)";

class TrainingPlans : public Plans {
 protected:
  TrainingPlans() { write("plan.toml", kTraining); }
  void write_plan(const std::string& tail) const {
    write("plan.toml", std::string(kTraining) + tail);
  }
};

// The run of a billion tokens at half of the paid time: 1e9 / (rate / 2) seconds.
TEST_F(TrainingPlans, WeighTheWholeRun) {
  write_plan("[search]\nvary = 0\n");
  const Outcome outcome = moesim({"plan", "plan.toml", "--out", "out"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("plan.toml: train of toy, template "));
  EXPECT_THAT(outcome.out, HasSubstr(" days\n"));
  const Json report = Json::parse(read("out/plan.json"));
  EXPECT_EQ(report["step_kind"], "train");
  EXPECT_EQ(report["latency_of"], "run");
  EXPECT_EQ(report["refusals"][0]["reason"], "parallel.ep");  // more ranks than GPUs
  const Json& choice = report["configurations"][report["choice"].get<std::size_t>()];
  EXPECT_TRUE(choice.contains("limit"));
  write("again.toml", read("out/choice.toml"));
  const Json again = json_of({"run", "again.toml", "--json"});
  const double rate = again["summary"]["tokens_per_s"];
  const Json& score = choice["score"];
  EXPECT_NEAR(score["tokens_per_s_per_gpu"], again["summary"]["tokens_per_s_per_rank"], 1e-6);
  EXPECT_NEAR(score["latency_s"], 2e9 / rate, 1e-9 * 2e9 / rate);
  EXPECT_EQ(choice["money"]["run"], again["money"]["run"]);
  EXPECT_NEAR(score["usd_per_million_tokens"].get<double>() * 1000,
              again["money"]["run"]["rented_usd"],
              1e-6 * score["usd_per_million_tokens"].get<double>());
  EXPECT_THAT(read("out/plan.svg"), HasSubstr(">time of the run, days</text>"));
}

TEST_F(TrainingPlans, BoundsGiveTheFrontOfTheExhaustiveSearchINV10) {
  write_plan("[search]\nvary = 0\n");
  const Json all = plan({"--method", "exhaustive", "--threads", "1"});
  const Json pruned = plan({"--threads", "2"});
  ASSERT_FALSE(all["front"].empty());
  EXPECT_EQ(all["front"], pruned["front"]);
  for (const Json& c : all["configurations"]) {
    if (c.contains("score")) {
      EXPECT_GE(c["score"]["latency_s"], c["bound"]["latency_s"]);
      EXPECT_LE(c["score"]["tokens_per_s_per_gpu"], c["bound"]["tokens_per_s_per_gpu"]);
    }
  }
}

TEST_F(TrainingPlans, LimitDaysAndTheCostOfTheRun) {
  write_plan("[limits]\ndays = 1e-6\nrun_cost = \"1 USD\"\n[search]\nvary = 0\n");
  const Outcome outcome = moesim({"plan", "plan.toml"});
  EXPECT_THAT(outcome.out, HasSubstr("\nlimit: a run of up to 1e-06 days\n"));
  EXPECT_THAT(outcome.out, HasSubstr("\nlimit: up to 1.00 USD a run\n"));
  EXPECT_THAT(outcome.out, HasSubstr("\nno configuration is within the limits\n"));
  expect_mistake({"plan", "plan.toml", "--set", "price.training_tokens=0"},
                 "plan.toml: error: price.training_tokens: 0, but the plan limits the days or the "
                 "cost of the run");
  write_plan("[limits]\ntpot = \"1 s\"\n");
  expect_mistake({"plan", "plan.toml"}, "plan.toml: error: limits.tpot: a train step has none");
  write_plan("[limits]\nslo_ratio = 0.5\n");
  expect_mistake({"plan", "plan.toml"},
                 "plan.toml: error: limits.slo_ratio: a train step has none");
}

constexpr std::string_view kServing = R"(scenario = "scenario.toml"

[set]
step.kind = "serving"
requests.rate = 2000
requests.count = 40
requests.prompt_tokens = 200
requests.output_tokens = 10
requests.ttft_slo = "250 us"
requests.warm_up = "2 ms"
price.source = "invented"
price.basis = "assumed"
price.gpu_purchase = "20 kUSD"
price.gpu_rent = "2 USD/h"
price.gpu_busy = "500 W"

[grid]
requests.groups = [1, 2, 4]
requests.max_batch_tokens = [256, 1024]
requests.chunk_tokens = [0, 128]
parallel.ep = [2, 4]

)";

class ServingPlans : public Plans {
 protected:
  ServingPlans() {
    edit_scenario("[batch]\ntokens_per_rank = 16\nsteps = 3\n", "");
    write("plan.toml", kServing);
  }
  void write_plan(const std::string& tail) const {
    write("plan.toml", std::string(kServing) + tail);
  }
};

TEST_F(ServingPlans, WeighWhatIsWithinTheSlo) {
  write_plan("[limits]\nslo_ratio = 0.2\n");
  const Outcome outcome = moesim({"plan", "plan.toml", "--out", "out"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("\nlimit: at least 20 % of the requests within the SLO\n"));
  EXPECT_THAT(outcome.out, HasSubstr("  good tokens/s/GPU\n"));
  EXPECT_THAT(outcome.out, HasSubstr("\n#   P95 TTFT  P95 TPOT"));
  EXPECT_THAT(outcome.out, HasSubstr("\narrival rate "));
  const Json report = Json::parse(read("out/plan.json"));
  EXPECT_EQ(report["latency_of"], "ttft_p95");
  const Json& choice = report["configurations"][report["choice"].get<std::size_t>()];
  write("again.toml", read("out/choice.toml"));
  const Json again = json_of({"run", "again.toml", "--json"});
  EXPECT_EQ(choice["serving"]["ttft_p95_s"], again["summary"]["ttft_s"]["p95"]);
  EXPECT_EQ(choice["serving"]["tpot_p95_s"], again["summary"]["tpot_s"]["p95"]);
  EXPECT_EQ(choice["serving"]["slo_ratio"], again["summary"]["slo_ratio"]);
  EXPECT_NEAR(choice["score"]["usd_per_million_tokens"],
              again["money"]["rented"]["usd_per_million_tokens_within_slo"],
              1e-9);
  EXPECT_EQ(choice["money"], again["money"]);
  for (const Json& c : report["configurations"]) {
    if (c["state"] == "feasible") {
      EXPECT_GE(c["serving"]["slo_ratio"], 0.2);
    }
  }
}

TEST_F(ServingPlans, BoundsGiveTheFrontOfTheExhaustiveSearchINV10) {
  write_plan("[limits]\nhourly = \"12 USD/h\"\n[search]\nvary = 0\n");
  const Json all = plan({"--method", "exhaustive", "--threads", "1"});
  const Json pruned = plan({"--threads", "2"});
  ASSERT_FALSE(all["front"].empty());
  EXPECT_EQ(all["front"], pruned["front"]);
  for (const Json& c : all["configurations"]) {
    if (c.contains("score")) {
      EXPECT_LE(c["score"]["tokens_per_s_per_gpu"], c["bound"]["tokens_per_s_per_gpu"]);
    }
  }
}

// 3 requests of 70, 80 and 30 tokens; the first arrives in the warm-up, the last half a second
// later: 110 tokens in 0.5 s on 2 GPUs. One that no cache holds counts for nothing.
TEST_F(ServingPlans, BoundByWhatArrives) {
  write("arrivals.csv",
        "arrival_s,prompt_tokens,output_tokens\n0,60,10\n0.3,70,10\n0.6,20,10\n"
        "9,90000000,10\n");
  write("plan.toml", R"(scenario = "scenario.toml"
[set]
step.kind = "serving"
requests.source = "table"
requests.path = "arrivals.csv"
requests.warm_up = "100 ms"
parallel.ep = 2
[search]
objectives = ["throughput"]
choose = "throughput"
vary = 0
)");
  const Json report = plan();
  const Json& only = report["configurations"][0];
  EXPECT_DOUBLE_EQ(only["bound"]["tokens_per_s_per_gpu"], 110 / 0.5 / 2);
  EXPECT_LE(only["score"]["tokens_per_s_per_gpu"], 110.0);
  EXPECT_GT(only["score"]["tokens_per_s_per_gpu"], 100.0);
}

TEST_F(ServingPlans, WhatIsAskedForMustBeThere) {
  write_plan("[limits]\nslo_ratio = 0.9\n");
  expect_mistake({"plan", "plan.toml", "--set", "requests.ttft_slo=0 s"},
                 "plan.toml: error: requests.ttft_slo: neither it nor requests.tpot_slo is set, "
                 "but limits.slo_ratio asks for a share of the requests");
  write_plan("[limits]\ndays = 3\n");
  expect_mistake({"plan", "plan.toml"}, "plan.toml: error: limits.days: a serving step has none");
  write_plan("[limits]\nrun_cost = \"3 USD\"\n");
  expect_mistake({"plan", "plan.toml"},
                 "plan.toml: error: limits.run_cost: a serving step has none");
  write("plan.toml",
        "scenario = \"scenario.toml\"\n[search]\nobjectives = [\"latency\"]\nchoose = "
        "\"latency\"\n[[points]]\nstep.kind = \"serving\"\n[[points]]\nstep.kind = \"decode\"\n"
        "batch.tokens_per_rank = 4\nbatch.context_tokens = 100\n");
  expect_mistake({"plan", "plan.toml"},
                 "plan.toml: error: step.kind: configurations of several kinds cannot be compared");
  write("plan.toml",
        "scenario = \"scenario.toml\"\n[set]\nbatch.tokens_per_rank = 4\n[search]\nobjectives = "
        "[\"latency\"]\nchoose = \"latency\"\n");
  EXPECT_THAT(moesim({"plan", "plan.toml"}).out,
              HasSubstr("\nrefused: 1 x step.kind, as in: moe_layers are no whole model\n"));
}

}  // namespace
}  // namespace moesim::cli_tests
