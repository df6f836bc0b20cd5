// SPDX-License-Identifier: Apache-2.0
// A run that is ended from outside: nothing half-written is ever found under the result's name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "tests/cli/scene.hpp"

namespace moesim::cli_tests {
namespace {

using testing::ElementsAre;

class Interrupts : public Scene {
 protected:
  /// Long enough to be caught in the act on any machine.
  const std::vector<std::string> long_run_ = {
      "run", "scenario.toml", "--out", "results", "--set", "batch.steps=2000000"};

  static void pause(std::chrono::milliseconds time) { std::this_thread::sleep_for(time); }
};

TEST_F(Interrupts, CtrlCEndsTheRunAndNothingIsWritten) {
  for (const int signal : {SIGINT, SIGTERM}) {
    Program program(folder(), long_run_);
    pause(std::chrono::milliseconds(400));
    ASSERT_TRUE(program.still_runs());
    program.send(signal);
    const Outcome outcome = program.wait();
    EXPECT_EQ(outcome.code, 130);
    EXPECT_EQ(outcome.signal, 0);
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(outcome.err, "interrupted; nothing was written\n");
    EXPECT_THAT(entries(), ElementsAre("data", "pack", "scenario.toml"));
  }
}

TEST_F(Interrupts, AKilledRunLeavesNoResultFolder) {
  Program program(folder(), long_run_);
  pause(std::chrono::milliseconds(300));
  ASSERT_TRUE(program.still_runs());
  program.send(SIGKILL);
  EXPECT_EQ(program.wait().signal, SIGKILL);
  EXPECT_THAT(entries(), ElementsAre("data", "pack", "scenario.toml"));
}

// Kills at ever later moments, so that some fall into the writing of the results.
TEST_F(Interrupts, WheneverItIsKilledTheResultFolderIsWholeOrAbsent) {
  int whole = 0;
  int absent = 0;
  for (int after_ms = 0; after_ms <= 600 && (whole == 0 || absent == 0 || after_ms <= 120);
       after_ms += 6) {
    std::filesystem::remove_all(folder() / "results");
    Program program(folder(),
                    {"run", "scenario.toml", "--out", "results", "--set", "batch.steps=200"});
    pause(std::chrono::milliseconds(after_ms));
    if (program.still_runs()) {
      program.send(SIGKILL);
    }
    (void)program.wait();
    if (!std::filesystem::exists(folder() / "results")) {
      ++absent;
      continue;
    }
    ++whole;
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
  EXPECT_GT(absent, 0);
  EXPECT_GT(whole, 0);
}

TEST_F(Interrupts, AnEarlierResultSurvivesAnInterruptedRun) {
  ASSERT_EQ(moesim({"run", "scenario.toml", "--out", "results"}).code, 0);
  const std::string before = read("results/report.json");
  Program program(folder(), long_run_);
  pause(std::chrono::milliseconds(300));
  program.send(SIGINT);
  EXPECT_EQ(program.wait().code, 130);
  EXPECT_EQ(read("results/report.json"), before);
}

}  // namespace
}  // namespace moesim::cli_tests
