// SPDX-License-Identifier: Apache-2.0
// `moesim plan` and prices, on the scene's scenario as a decode step.
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <csignal>

#include "tests/cli/plan_scene.hpp"

namespace moesim::cli_tests {
namespace {

using testing::HasSubstr;
using Json = nlohmann::json;

TEST_F(Plans, BoundsGiveTheFrontOfTheExhaustiveSearchINV10) {
  write_plan("[limits]\ntpot = \"1 ms\"\n[search]\nvary = 0\n");
  const Json all = plan({"--method", "exhaustive"});
  const Json pruned = plan();
  ASSERT_FALSE(all["front"].empty());
  EXPECT_EQ(all["front"], pruned["front"]);
  EXPECT_EQ(all["choice"], pruned["choice"]);
  EXPECT_EQ(all["alternative"], pruned["alternative"]);
  int simulated = 0;
  int left_out = 0;
  for (const Json& c : pruned["configurations"]) {
    const std::string state = c["state"];
    simulated += c.contains("score") ? 1 : 0;
    left_out += state == "bound dominated" || state == "bound over a limit" ? 1 : 0;
    if (c.contains("score")) {
      EXPECT_GE(c["score"]["latency_s"], c["bound"]["latency_s"]);
      EXPECT_LE(c["score"]["tokens_per_s_per_gpu"], c["bound"]["tokens_per_s_per_gpu"]);
      EXPECT_GE(c["score"]["usd_per_million_tokens"], c["bound"]["usd_per_million_tokens"]);
    }
  }
  EXPECT_GT(simulated, 0);
  EXPECT_GT(left_out, 0);
  EXPECT_EQ(
      pruned["refusals"],
      Json::array({{{"reason", "parallel.ep"},
                    {"count", 6},
                    {"example", "3 does not divide model.num_experts = 8 (scenario.toml:8)"}}}));
}

TEST_F(Plans, TheChoiceRunsByItselfToTheSameFigures) {
  const Outcome outcome = moesim({"plan", "plan.toml", "--out", "result"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err,
              testing::AnyOf("results: result/plan.json; page: result/report.html\n",
                             "results: result/plan.json; no page: built without npm\n"));
  EXPECT_THAT(outcome.out, HasSubstr("Pareto front, best cost first:\n#"));
  EXPECT_THAT(outcome.out, HasSubstr("\nchoice: #"));
  EXPECT_THAT(outcome.out, HasSubstr("\nsensitivity of the choice's cost:\n"));
  EXPECT_THAT(outcome.out, HasSubstr("\nmemory bandwidth"));
  EXPECT_THAT(outcome.out, HasSubstr("\nGPU rent"));
  EXPECT_THAT(outcome.out, HasSubstr("\nalternative: #"));
  EXPECT_THAT(outcome.out, HasSubstr("\nevidence: choice: assumed (invented for a test)\n"));
  EXPECT_THAT(outcome.out, HasSubstr("\nevidence: prices: assumed (invented)\n"));
  const Json report = Json::parse(read("result/plan.json"));
  const Json& choice = report["configurations"][report["choice"].get<std::size_t>()];
  write("again.toml", read("result/choice.toml"));
  const Json again = json_of({"run", "again.toml", "--json"});
  EXPECT_EQ(again["summary"]["step_s"]["mean"], choice["score"]["latency_s"]);
  EXPECT_EQ(again["money"]["rented_usd_per_million_tokens"],
            choice["score"]["usd_per_million_tokens"]);
  EXPECT_THAT(read("result/plan.csv"),
              HasSubstr("configuration,parallel.ep,batch.tokens_per_rank,dispatch.dispatcher,"));
  EXPECT_THAT(read("result/plan.svg"), HasSubstr("class=\"front\""));
}

// A fifth less rent is a fifth less cost; a fifth less memory bandwidth never makes it cheaper.
TEST_F(Plans, SensitivityFollowsItsInputs) {
  const Json report = plan();
  const Json& choice = report["configurations"][report["choice"].get<std::size_t>()];
  const double cost = choice["score"]["usd_per_million_tokens"];
  for (const Json& swing : report["sensitivity"]["swings"]) {
    if (swing["input"] == "GPU rent") {
      EXPECT_NEAR(swing["low"], 0.8 * cost, 1e-9 * cost);
      EXPECT_NEAR(swing["high"], 1.2 * cost, 1e-9 * cost);
    } else if (swing["input"] == "memory bandwidth") {
      EXPECT_GT(swing["low"], cost);
      EXPECT_LT(swing["high"], cost);
    }
  }
  const Json& other = report["configurations"][report["alternative"].get<std::size_t>()];
  const double gap = other["score"]["usd_per_million_tokens"].get<double>() / cost;
  ASSERT_GE(gap, 1);
  const Json& rent = report["sensitivity"]["thresholds"][0];
  EXPECT_EQ(rent["input"], "GPU rent");
  EXPECT_EQ(rent["of"], "choice");
  if (gap < 4) {
    EXPECT_NEAR(rent["factor"], gap, 0.011 * gap);
  }
}

TEST_F(Plans, AreTheSameAtAnyThreadCountINV6) {
  const Outcome one = moesim({"plan", "plan.toml", "--json", "--threads", "1"});
  const Outcome two = moesim({"plan", "plan.toml", "--json", "--threads", "2"});
  EXPECT_EQ(one.code, 0) << one.err;
  EXPECT_EQ(one.out, two.out);
}

TEST_F(Plans, HalvingSaysWhatItLeftOut) {
  write_plan("[search]\nvary = 0\nmethod = \"halving\"\n");
  const Outcome outcome = moesim({"plan", "plan.toml"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr(" left out by halving"));
  expect_mistake({"plan", "plan.toml", "--set", "batch.steps=1"},
                 "error: search.method: halving needs batch.steps of 2 or more: its short runs "
                 "have fewer steps");
}

TEST_F(Plans, BudgetsThatNeedNoSimulationRefuse) {
  write_plan("[limits]\nhourly = \"5 USD/h\"\n[search]\nvary = 0\n");
  const Json report = plan();
  EXPECT_EQ(report["refusals"][0],
            (Json{{"reason", "limits.hourly"},
                  {"count", 12},
                  {"example", "8.00 USD/h is more than 5.00 USD/h"}}));
}

TEST_F(Plans, SayWhenNothingWillDo) {
  write_plan("[limits]\ntpot = \"1 ns\"\n");
  const Outcome outcome = moesim({"plan", "plan.toml"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("limit: time per output token up to 1.00 ns\n"));
  EXPECT_THAT(
      outcome.out,
      HasSubstr(
          "24 configurations: 6 refused, 18 bound over a limit (18 by compute and memory)\n"));
  EXPECT_THAT(outcome.out, HasSubstr("\nno configuration is within the limits\n"));
}

TEST_F(Plans, MistakesOfTheFileAreShownWithTheirPlaces) {
  write("plan.toml", R"(scenario = "scenario.toml"
[grid]
parallel.epp = [2]
[limits]
tpott = "1 ms"
power = "3 GW"
[search]
objectives = ["price"]
choose = "cost"
)");
  expect_mistake(
      {"plan", "plan.toml"},
      "plan.toml:3:17: error: parallel.epp: unknown key; did you mean \"ep\"?\n"
      "     3 | parallel.epp = [2]\n"
      "       |                 ^\n"
      "plan.toml:5:1: error: limits.tpott: unknown key; did you mean \"tpot\"?\n"
      "     5 | tpott = \"1 ms\"\n"
      "       | ^\n"
      "plan.toml:6:9: error: limits.power: \"3 GW\" has the wrong unit \"GW\"\n"
      "     6 | power = \"3 GW\"\n"
      "       |         ^ expected a power: <number> W, kW or MW\n"
      "plan.toml:8:14: error: search.objectives: \"price\" is no objective\n"
      "     8 | objectives = [\"price\"]\n"
      "       |              ^ expected throughput, latency or cost, or several of them");
}

TEST_F(Plans, TheChosenObjectiveMustBeWeighed) {
  write_plan("[search]\nobjectives = [\"latency\"]\n");
  const Outcome outcome = moesim({"plan", "plan.toml"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("search.choose: \"cost\" is not among search.objectives\n"));
}

TEST_F(Plans, WhatIsAskedForMustBeThere) {
  write("plan.toml",
        "scenario = \"scenario.toml\"\n[set]\nstep.kind = \"decode\"\nbatch.context_tokens = "
        "1000\n");
  expect_mistake({"plan", "plan.toml"},
                 "plan.toml: error: price: missing, but the plan weighs costs, money or power");
  write_plan("[search]\ncost = \"owned\"\n");
  expect_mistake({"plan", "plan.toml"},
                 "plan.toml: error: price.gpu_purchase: 0, but search.cost is owned");
  write_plan("[limits]\nttft = \"1 s\"\n");
  expect_mistake({"plan", "plan.toml"}, "plan.toml: error: limits.ttft: a decode step has none");
  write_plan("");
  expect_mistake({"plan", "plan.toml", "--set", "batch.stepz=1"},
                 "--set batch.stepz=1: error: batch.stepz: unknown key; did you mean \"steps\"?");
}

TEST_F(Plans, CtrlCKeepsWhatWasReached) {
  write_plan("[search]\nvary = 0\n");
  Program program(folder(), {"plan", "plan.toml", "--set", "batch.steps=200000", "--out", "out"});
  ASSERT_TRUE(program.comes_to_catch(SIGINT));
  program.send(SIGINT);
  const Outcome outcome = program.wait();
  EXPECT_EQ(outcome.code, 130);
  EXPECT_THAT(outcome.err,
              testing::AnyOf(HasSubstr("interrupted; the report covers 6 of 24 configurations\n"),
                             HasSubstr("interrupted; nothing was written\n")));
}

// 12 USD/h for 4 GPUs; at half use a million tokens take 1e6 / (rate * 1800) hours.
TEST_F(Plans, ARunShowsWhatATokenCosts) {
  const std::vector<std::string> run = {"run",
                                        "scenario.toml",
                                        "--set",
                                        "step.kind=decode",
                                        "--set",
                                        "batch.context_tokens=1000",
                                        "--set",
                                        "price.preset=./mine.toml"};
  write("mine.toml", R"(source = "an offer"
basis = "quoted"
gpu_rent = "1 USD/h"
gpu_purchase = "20 kUSD"
gpu_busy = "1 kW"
gpu_idle = "0 W"
utilisation = 0.5
[gpu.gpu]
gpu_rent = "3 USD/h"
[gpu.other]
gpu_rent = "9 USD/h"
)");
  std::vector<std::string> as_json = run;
  as_json.emplace_back("--json");
  const Json report = json_of(as_json);
  const double rate = report["summary"]["tokens_per_s"];
  const Json& money = report["money"];
  EXPECT_EQ(money["rented_usd_per_h"], 12.0);
  EXPECT_NEAR(money["rented_usd_per_million_tokens"], 12 * 1e6 / (rate * 1800), 1e-9);
  EXPECT_EQ(money["power_w"], 2000.0);
  EXPECT_NEAR(money["tokens_per_joule"], rate * 0.5 / 2000, 1e-9 * rate);
  const Outcome text = moesim(run);
  EXPECT_THAT(
      text.out,
      HasSubstr(
          "\ncost     an hour  a GPU and hour  a million generated tokens\nowned   2.28 USD "));
  EXPECT_THAT(text.out, HasSubstr("\nrented  12.0 USD        3.00 USD "));
  EXPECT_THAT(text.out, HasSubstr("\nprices: quoted (an offer), in use 50 % of the time\n"));
  std::vector<std::string> renamed = run;
  renamed.insert(renamed.end(), {"--set", "cluster.gpu.name=G200"});
  expect_mistake(renamed,
                 "--set price.preset=./mine.toml: error: price.preset: the price list has no table "
                 "of GPU \"G200\"; known: gpu or other");
}

}  // namespace
}  // namespace moesim::cli_tests
