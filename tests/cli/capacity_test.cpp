// SPDX-License-Identifier: Apache-2.0
// `moesim capacity`: results, files, mistakes, Ctrl-C.
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <csignal>
#include <thread>

#include "tests/cli/scene.hpp"

namespace moesim::cli_tests {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

class Capacity : public Scene {
 protected:
  void expect_mistake(std::vector<std::string> options, const std::string& words) const {
    std::vector<std::string> arguments = {"capacity", "scenario.toml"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    const Outcome outcome = moesim(arguments);
    EXPECT_EQ(outcome.code, 2);
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(outcome.err, "error: " + words + "\n");
  }
};

TEST_F(Capacity, WritesJsonCsvAndAPicture) {
  const Outcome outcome = moesim({"capacity",
                                  "scenario.toml",
                                  "--json",
                                  "--out",
                                  "results",
                                  "--factors",
                                  "0.5:2:0.5",
                                  "--policies",
                                  "drop,spill"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, testing::StartsWith("results: results/capacity.json; "));
  EXPECT_EQ(outcome.out, read("results/capacity.json"));
  const json report = json::parse(outcome.out);
  EXPECT_EQ(report["format"], "moesim-capacity");
  EXPECT_EQ(report["partial"], false);
  ASSERT_EQ(report["curves"].size(), 4U);
  ASSERT_EQ(report["curves"][0]["points"].size(), 4U);
  EXPECT_EQ(report["curves"][0]["points"][3]["factor"], 2.0);
  EXPECT_GT(report["curves"][0]["points"][0]["dropped_ratio"]["mean"].get<double>(), 0.1);
  EXPECT_THAT(read("results/capacity.csv"), testing::StartsWith("policy,scope,factor,"));
  EXPECT_THAT(read("results/capacity.svg"), testing::StartsWith("<svg "));
}

TEST_F(Capacity, AgreesWithARunAtTheSameFactor) {
  const json sweep = json_of({"capacity",
                              "scenario.toml",
                              "--json",
                              "--factors",
                              "1",
                              "--policies",
                              "spill",
                              "--scopes",
                              "rank"});
  const json run = json_of({"run", "scenario.toml", "--json", "--set", "capacity.policy=spill"});
  const json& point = sweep["curves"][0]["points"][0];
  EXPECT_EQ(point["dropped_assignments"], run["summary"]["dropped_assignments"]);
  EXPECT_EQ(point["diverted_assignments"], run["summary"]["diverted_assignments"]);
  EXPECT_EQ(point["step_s"]["mean"], run["summary"]["step_s"]["mean"]);
  EXPECT_EQ(point["lost_token_ratio"], run["summary"]["lost_token_ratio"]);
  EXPECT_GT(point["diverted_assignments"].get<int>(), 0);
}

TEST_F(Capacity, TakesTheRestOfAWideTraceAsCandidates) {
  const std::vector<std::string> narrow = {"run",
                                           "scenario.toml",
                                           "--json",
                                           "--set",
                                           "model.top_k=1",
                                           "--set",
                                           "capacity.policy=next_best"};
  const json next_best = json_of(narrow);
  EXPECT_EQ(next_best["routing"]["top_k"], 1);
  EXPECT_GT(next_best["summary"]["diverted_assignments"].get<int>(), 0);
}

TEST_F(Capacity, EqualSweepsGiveEqualBytes) {
  const auto with_threads = [&](const char* threads) {
    return moesim({"capacity", "scenario.toml", "--json", "--threads", threads}).out;
  };
  EXPECT_EQ(with_threads("1"), with_threads("3"));
}

TEST_F(Capacity, RefusesGridsThatCannotBe) {
  expect_mistake({"--factors", "1,x"},
                 "--factors \"1,x\": found \"x\"; expected factors above 0 such as 1,1.25,1.5 or "
                 "first:last:step such as 1:2:0.25");
  expect_mistake(
      {"--factors", "2:1:0.5"},
      "--factors \"2:1:0.5\": the first is above the last; expected factors above 0 such "
      "as 1,1.25,1.5 or first:last:step such as 1:2:0.25");
  expect_mistake({"--factors", "1:2:1e-9"},
                 "--factors \"1:2:1e-9\": more than 1000 factors; expected factors above 0 such as "
                 "1,1.25,1.5 or first:last:step such as 1:2:0.25");
  expect_mistake({"--policies", "drop,dorp"},
                 "--policies \"drop,dorp\": found \"dorp\"; expected drop, spill, next_best, pad, "
                 "expert_choice or replica, or several with commas");
  expect_mistake(
      {"--scopes", "ranks"},
      "--scopes \"ranks\": found \"ranks\"; expected rank, group, micro_batch or global, "
      "or several with commas");
  expect_mistake({"--scopes", "micro_batch"},
                 "--scopes micro_batch: needs capacity.micro_batches of 2 or more");
  expect_mistake({"--policies", "pad", "--scopes", "group"},
                 "--policies pad: needs --scopes rank or micro_batch");
  expect_mistake(
      {"--policies", "pad", "--set", "dispatch.dispatcher=hierarchical"},
      "--policies pad: this dispatcher sends no padded shapes; set dispatch.dispatcher to "
      "pairwise, low_latency, one_sided or two_sided");
  expect_mistake({"--policies", "replica"},
                 "--policies replica: needs an expert with more than one slot; set placement.kind "
                 "to eplb with placement.slots, or to file");
  expect_mistake({"--policies", "next_best"},
                 "capacity.policy: next_best needs a trace with more than model.top_k = 2 "
                 "experts a token; \"pack\" has 2");
  expect_mistake({"--policies", "expert_choice", "--set", "model.top_k=1"},
                 "capacity.policy: expert_choice needs gate weights; \"pack\" has none");
  expect_mistake({"--set", "capacity.policy=drop", "--set", "capacity.order=weight"},
                 "capacity.order: weight needs gate weights; \"pack\" has none");
}

// A row of the toy model is 256 * 2 B and 2 * 8 B of indices: 528 B; 4 kB hold 7 of them.
TEST_F(Capacity, CapsMayBeBytes) {
  const auto dropped = [&](const std::string& cap) {
    return json_of({"run",
                    "scenario.toml",
                    "--json",
                    "--set",
                    "capacity.policy=drop",
                    "--set",
                    "capacity.factor=4",
                    "--set",
                    cap});
  };
  const json bytes = dropped("capacity.sender_bytes=4 kB");
  const json rows = dropped("capacity.sender_cap=7");
  EXPECT_EQ(bytes["summary"], rows["summary"]);
  EXPECT_GT(rows["summary"]["dropped_assignments"], 0);
  EXPECT_THAT(bytes["notes"], testing::Contains("capacity.sender_bytes = 4 kB: 7 rows of 528 B"));
  EXPECT_EQ(dropped("capacity.receiver_bytes=4 kB")["summary"],
            dropped("capacity.receiver_cap=7")["summary"]);
  expect_mistake({"--set", "capacity.policy=drop", "--set", "capacity.receiver_bytes=500 B"},
                 "capacity.receiver_bytes: 500 B hold no row of 528 B");
}

TEST_F(Capacity, ReplicasTakeWhatOneSlotCannot) {
  const auto dropped = [&](const char* policy) {
    const json sweep = json_of({"capacity",
                                "scenario.toml",
                                "--json",
                                "--factors",
                                "1",
                                "--policies",
                                policy,
                                "--scopes",
                                "rank",
                                "--set",
                                "placement.kind=eplb",
                                "--set",
                                "placement.slots=16",
                                "--set",
                                "placement.replica_choice=nearest"});
    return sweep["curves"][0]["points"][0]["dropped_assignments"].get<int>();
  };
  EXPECT_LT(dropped("replica"), dropped("drop"));
}

TEST_F(Capacity, SaysWhatItLeavesOut) {
  const Outcome outcome = moesim({"capacity", "scenario.toml", "--policies", "pad"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("pad, scope rank\n"));
  EXPECT_THAT(outcome.out, HasSubstr("note: pad has no shapes in scopes that pool the ranks"));
}

TEST_F(Capacity, CtrlCBeforeTheFirstStepWritesNothing) {
  Program program(folder(),
                  {"capacity",
                   "scenario.toml",
                   "--out",
                   "results",
                   "--factors",
                   "0.5:100:0.1",
                   "--policies",
                   "spill",
                   "--set",
                   "batch.tokens_per_rank=400000"});
  ASSERT_TRUE(program.comes_to_catch(SIGINT));
  program.send(SIGINT);
  const Outcome outcome = program.wait();
  EXPECT_EQ(outcome.code, 130);
  EXPECT_EQ(outcome.err, "interrupted; nothing was written\n");
  EXPECT_THAT(entries(), ElementsAre("data", "pack", "scenario.toml"));
}

TEST_F(Capacity, CtrlCLaterReportsTheWholeStepsDoneSoFar) {
  // A loaded machine may need longer for the first step: then nothing was written, and once more.
  for (auto patience = std::chrono::milliseconds(100); patience < std::chrono::seconds(20);
       patience *= 2) {
    Program program(folder(),
                    {"capacity", "scenario.toml", "--json", "--set", "batch.steps=100000"});
    ASSERT_TRUE(program.comes_to_catch(SIGINT));
    std::this_thread::sleep_for(patience);
    program.send(SIGINT);
    const Outcome outcome = program.wait();
    ASSERT_EQ(outcome.code, 130);
    if (outcome.err == "interrupted; nothing was written\n") {
      continue;
    }
    const nlohmann::json report = nlohmann::json::parse(outcome.out);
    const int done = report["steps_done"].get<int>();
    EXPECT_GT(done, 0);
    EXPECT_LT(done, 100'000);
    EXPECT_EQ(
        outcome.err,
        "interrupted; the report covers the first " + std::to_string(done) + " of 100000 steps\n");
    return;
  }
  FAIL() << "no step was done in 12 s";
}

}  // namespace
}  // namespace moesim::cli_tests
