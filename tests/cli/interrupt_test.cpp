// SPDX-License-Identifier: Apache-2.0
// A run that is ended from outside: nothing half-written is ever found under the result's name.
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "tests/cli/scene.hpp"

namespace moesim::cli_tests {
namespace {

using testing::ElementsAre;

using Clock = std::chrono::steady_clock;

class Interrupts : public Scene {
 protected:
  /// Long enough to be caught in the act on any machine.
  const std::vector<std::string> long_run_ = {
      "run", "scenario.toml", "--out", "results", "--set", "batch.steps=200000"};
  /// Short enough to be killed at many moments of its life.
  const std::vector<std::string> short_run_ = {
      "run", "scenario.toml", "--out", "results", "--set", "batch.steps=200"};

  /// Wall time of a whole short run on this machine, now.
  [[nodiscard]] Clock::duration time_short_run() const {
    const Clock::time_point start = Clock::now();
    EXPECT_EQ(moesim(short_run_).code, 0);
    return Clock::now() - start;
  }

  void expect_whole_results() const {
    for (const char* file : {"report.json",
                             "summary.csv",
                             "layers.csv",
                             "experts.csv",
                             "ranks.csv",
                             "links.csv",
                             "scenario.toml"}) {
      EXPECT_TRUE(std::filesystem::exists(folder() / "results" / file)) << file;
    }
    const std::string report = read("results/report.json");
    EXPECT_TRUE(report.ends_with("}\n")) << report.size();
  }
};

TEST_F(Interrupts, CtrlCEndsTheRunAndNothingIsWritten) {
  for (const int signal : {SIGINT, SIGTERM}) {
    Program program(folder(), long_run_);
    ASSERT_TRUE(program.comes_to_catch(signal));
    program.send(signal);
    const Outcome outcome = program.wait();
    EXPECT_EQ(outcome.code, 130);
    EXPECT_EQ(outcome.signal, 0);
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(outcome.err, "interrupted; nothing was written\n");
    EXPECT_THAT(entries(), ElementsAre("data", "pack", "scenario.toml"));
  }
}

TEST_F(Interrupts, CtrlCEndsANetworkBench) {
  for (const char* engine : {"fluid", "message"}) {
    Program program(folder(),
                    {"network-bench",
                     "--gpus",
                     "128",
                     "--engine",
                     engine,
                     "--repeat",
                     "1000",
                     "--out",
                     "results"});
    ASSERT_TRUE(program.comes_to_catch(SIGINT));
    program.send(SIGINT);
    const Outcome outcome = program.wait();
    EXPECT_EQ(outcome.code, 130);
    EXPECT_EQ(outcome.err, "interrupted; nothing was written\n");
    EXPECT_THAT(entries(), ElementsAre("data", "pack", "scenario.toml"));
  }
}

// Work that lasts for hours before the first step, or is all there is to do.
TEST_F(Interrupts, CtrlCEndsTrainingDrawingAndFitting) {
  edit_scenario("trace = \"./pack\"",
                "source = \"learned\"\nlearned.first_step = 100000\nlearned.tokens = 65536");
  write("long.toml", "source = \"generated\"\n[generated]\nrequest_tokens = 100000\n");
  const std::vector<std::vector<std::string>> commands = {
      {"run", "scenario.toml", "--out", "results"},
      {"capacity", "scenario.toml", "--out", "results"},
      {"trace", "learn", "made", "--steps", "100000", "--tokens", "65536"},
      {"trace",
       "generate",
       "./long.toml",
       "made",
       "--experts",
       "64",
       "--top-k",
       "4",
       "--layers",
       "64",
       "--requests",
       "1"}};
  for (const std::vector<std::string>& command : commands) {
    Program program(folder(), command);
    ASSERT_TRUE(program.comes_to_catch(SIGINT)) << program.wait().err;
    std::this_thread::sleep_for(std::chrono::milliseconds(200));  // it is at work
    program.send(SIGINT);
    const Outcome outcome = program.wait();
    EXPECT_EQ(outcome.code, 130) << command.front();
    EXPECT_EQ(outcome.err, "interrupted; nothing was written\n");
    EXPECT_THAT(entries(), ElementsAre("data", "long.toml", "pack", "scenario.toml"));
  }
}

// 20 GB of ids, nearly all in a hole of the file: to check them takes longer than this test may.
TEST_F(Interrupts, CtrlCEndsTheCheckingAndImportOfALongRecording) {
  constexpr std::int64_t kTokens = 10'000'000'000;
  const auto tokens = std::to_string(kTokens);
  for (const char* file : {"long/topk.npy", "ids.npy"}) {
    write(file, npy("|u1", "False", tokens + ", 2, 1", ""));
    const auto header = std::filesystem::file_size(folder() / file);
    std::filesystem::resize_file(folder() / file, header + std::uintmax_t{2} * kTokens);
  }
  write("long/pack.json",
        R"({"format": "moesim-route-pack", "version": 1, "model": "toy", "experts": 8, "top_k": 1,
            "layers": 2})");
  write("long/sequences.csv",
        "sequence,row_start,rows,domain,source\n0,0," + tokens + ",code,one\n");
  edit_scenario("trace = \"./pack\"", "trace = \"./long\"");
  const std::vector<std::vector<std::string>> commands = {
      {"run", "scenario.toml", "--out", "results"},
      {"trace", "info", "long"},
      {"trace", "fit", "long"},
      {"trace", "import", "ids.npy", "made", "--experts", "8"}};
  for (const std::vector<std::string>& command : commands) {
    Program program(folder(), command);
    ASSERT_TRUE(program.comes_to_catch(SIGINT)) << program.wait().err;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));  // it is at work
    program.send(SIGINT);
    const Outcome outcome = program.wait();
    EXPECT_EQ(outcome.code, 130) << command.front();
    EXPECT_EQ(outcome.signal, 0);
    EXPECT_EQ(outcome.err, "interrupted; nothing was written\n");
    EXPECT_THAT(entries(), ElementsAre("data", "ids.npy", "long", "pack", "scenario.toml"));
  }
}

TEST_F(Interrupts, AKilledRunLeavesNoResultFolder) {
  Program program(folder(), long_run_);
  ASSERT_TRUE(program.comes_to_catch(SIGINT));
  program.send(SIGKILL);
  EXPECT_EQ(program.wait().signal, SIGKILL);
  EXPECT_THAT(entries(), ElementsAre("data", "pack", "scenario.toml"));
}

// Kills at ever later moments of a run's life, so that some fall into the writing of the results.
TEST_F(Interrupts, WheneverItIsKilledTheResultFolderIsWholeOrAbsent) {
  constexpr int kMoments = 40;
  const Clock::duration life = time_short_run();
  expect_whole_results();
  int absent = 0;
  for (int moment = 0; moment < kMoments; ++moment) {
    std::filesystem::remove_all(folder() / "results");
    Program program(folder(), short_run_);
    std::this_thread::sleep_for(life * moment / kMoments);
    if (program.still_runs()) {
      program.send(SIGKILL);
    }
    (void)program.wait();
    if (std::filesystem::exists(folder() / "results")) {
      expect_whole_results();
    } else {
      ++absent;
    }
  }
  EXPECT_GT(absent, 0);
}

TEST_F(Interrupts, AnEarlierResultSurvivesAnInterruptedRun) {
  ASSERT_EQ(moesim({"run", "scenario.toml", "--out", "results"}).code, 0);
  const std::string before = read("results/report.json");
  Program program(folder(), long_run_);
  ASSERT_TRUE(program.comes_to_catch(SIGINT));
  program.send(SIGINT);
  EXPECT_EQ(program.wait().code, 130);
  EXPECT_EQ(read("results/report.json"), before);
}

}  // namespace
}  // namespace moesim::cli_tests
