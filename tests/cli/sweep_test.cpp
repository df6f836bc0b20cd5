// SPDX-License-Identifier: Apache-2.0
// `moesim sweep` and `moesim results`: whatever happens to a sweep, what it ends with is the same.
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <stdlib.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <thread>

#include "tests/cli/scene.hpp"

namespace moesim::cli_tests {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;
using Json = nlohmann::json;

/// 10 points: two pairs are alike, two contradict themselves, and one cannot run.
constexpr const char* kStudy = R"(scenario = "scenario.toml"
metrics = ["summary.step_s.mean", "summary.dropped_ratio", "model.active_parameters"]
[grid]
capacity.factor = [1.0, 1.5, 1.50]
batch.tokens_per_rank = [8, 16]
[set]
capacity.policy = "drop"
[[points]]
parallel.ep = 3
[[points]]
step.layers = 3
[[points]]
model.num_experts = 16
[[points]]
dispatch.dispatcher = "low_latency"
batch.steps = 2
)";

class Sweeps : public Scene {
 protected:
  Sweeps() { write("study.toml", kStudy); }

  [[nodiscard]] std::string csv(const std::string& store) const {
    const Outcome outcome = moesim({"results", store, "--csv"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return outcome.out;
  }
  /// Reports of a grid's point, of a point alike and of the last one.
  [[nodiscard]] std::string reports(const std::string& store) const {
    std::string all;
    for (const char* point : {"1", "4", "9"}) {
      all += moesim({"results", store, "--report", point}).out;
    }
    return all;
  }
  /// Why no process can be started beside another; empty: they can.
  [[nodiscard]] std::string no_mpi() const {
    if (moesim({"--version"}).out.find("MPI: yes") == std::string::npos) {
      return "this build has no MPI";
    }
    return std::system("command -v mpirun >/dev/null 2>&1") != 0 ? "no mpirun on this machine" : "";
  }
  /// A sweep of many points that takes about a second.
  void write_long_study() const {
    write("long.toml",
          "scenario = \"scenario.toml\"\n[set]\nbatch.steps = 40\ncapacity.policy = \"drop\"\n"
          "[grid]\ncapacity.factor = [0.5, 0.75, 1.0, 1.25, 1.5]\n"
          "batch.tokens_per_rank = [4, 8, 12, 16, 20, 24]\n");
  }
};

/// Runs a shell line in the scene's folder; its exit code.
int shell(const std::filesystem::path& folder, const std::string& line) {
  const std::string whole = "cd '" + folder.string() + "' && MOESIM_DATA='" +
                            (folder / "data").string() + "' " + line + " >.log 2>&1";
  const int status = std::system(whole.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(Sweeps, RunEveryPointOnceAndShowIt) {
  const Outcome first = moesim({"sweep", "study.toml", "--threads", "2", "--out", "out"});
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_THAT(first.err,
              StartsWith("10 points, 6 scenarios: 6 simulated, 0 known before; store: "
                         "study.sqlite\nresults: out/results.json; "));
  const bool has_page = first.err.find("; page: out/report.html\n") != std::string::npos;
  EXPECT_EQ(std::filesystem::exists(folder() / "out/report.html"), has_page);
  EXPECT_THAT(first.out, AllOf(HasSubstr("capacity.factor"), HasSubstr("point 6 is refused")));
  EXPECT_THAT(entries(), testing::Contains("study.sqlite"));
  EXPECT_EQ(read("out/results.csv"), csv("study.sqlite"));
  const Outcome second = moesim({"sweep", "study.toml", "--json"});
  EXPECT_EQ(second.err,
            "10 points, 6 scenarios: 0 simulated, 6 known before; store: study.sqlite\n");
  EXPECT_EQ(second.out, read("out/results.json"));
  const Json results = Json::parse(second.out);
  EXPECT_EQ(results["points"].size(), 10);
  EXPECT_EQ(results["points"][2]["summary.step_s.mean"],
            results["points"][4]["summary.step_s.mean"]);
  EXPECT_EQ(results["points"][7]["state"], "refused");
  EXPECT_GT(results["points"][9]["summary.step_s.mean"], 0.0);
}

TEST_F(Sweeps, KeepTheReportThatARunGives) {
  ASSERT_EQ(moesim({"sweep", "study.toml"}).code, 0);
  const Json kept = json_of({"results", "study.sqlite", "--report", "1"});
  const Json run = json_of({"run",
                            "scenario.toml",
                            "--json",
                            "--set",
                            "capacity.policy=drop",
                            "--set",
                            "capacity.factor=1.0",
                            "--set",
                            "batch.tokens_per_rank=16"});
  for (const char* part : {"summary", "steps", "evidence", "notes", "resolved_scenario"}) {
    EXPECT_EQ(kept[part], run[part]) << part;
  }
  EXPECT_EQ(kept["inputs"].size(), 1);  // the pack; the other files are in the resolved scenario
  const Outcome resolved = moesim({"results", "study.sqlite", "--scenario", "1"});
  write("again.toml", resolved.out);
  EXPECT_EQ(json_of({"run", "again.toml", "--json"})["summary"], run["summary"]);
}

TEST_F(Sweeps, GiveTheSameBytesWhicheverWayTheyRan) {
  ASSERT_EQ(moesim({"sweep", "study.toml", "--store", "one.sqlite", "--threads", "1"}).code, 0);
  ASSERT_EQ(moesim({"sweep", "study.toml", "--store", "a.sqlite", "--part", "0/2"}).code, 0);
  ASSERT_EQ(moesim({"sweep", "study.toml", "--store", "b.sqlite", "--part", "1/2"}).code, 0);
  const Outcome joined = moesim(
      {"sweep", "--store", "all.sqlite", "--from", "a.sqlite", "--from", "b.sqlite", "study.toml"});
  EXPECT_EQ(joined.err,
            "a.sqlite: 3 results taken over\nb.sqlite: 3 results taken over\n"
            "10 points, 6 scenarios: 0 simulated, 6 known before; store: all.sqlite\n");
  Program writer(folder(), {"sweep", "study.toml", "--store", "two.sqlite", "--threads", "1"});
  EXPECT_EQ(shell(folder(), "'" MOESIM_BINARY "' sweep study.toml --store two.sqlite"), 0);
  EXPECT_EQ(writer.wait().code, 0);
  EXPECT_EQ(csv("all.sqlite"), csv("one.sqlite"));
  EXPECT_EQ(reports("all.sqlite"), reports("one.sqlite"));
  EXPECT_EQ(reports("two.sqlite"), reports("one.sqlite"));
}

TEST_F(Sweeps, GoOnAfterAKillAtAnyMoment) {
  write_long_study();
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  ASSERT_EQ(moesim({"sweep", "long.toml", "--store", "whole.sqlite", "--threads", "2"}).code, 0);
  const Clock::duration life = Clock::now() - start;
  constexpr int kKills = 5;
  for (int kill = 1; kill <= kKills; ++kill) {
    Program program(folder(), {"sweep", "long.toml", "--store", "killed.sqlite", "--threads", "2"});
    std::this_thread::sleep_for(life * kill / (2 * kKills));
    if (program.still_runs()) {
      program.send(SIGKILL);
    }
    (void)program.wait();
  }
  const Outcome last = moesim({"sweep", "long.toml", "--store", "killed.sqlite"});
  EXPECT_EQ(last.code, 0) << last.err;
  EXPECT_EQ(csv("killed.sqlite"), csv("whole.sqlite"));
}

TEST_F(Sweeps, KeepWhatIsDoneWhenInterrupted) {
  write_long_study();
  Program program(folder(), {"sweep", "long.toml", "--set-nothing"});
  EXPECT_EQ(program.wait().code, 2);
  Program interrupted(folder(), {"sweep", "long.toml", "--threads", "1"});
  ASSERT_TRUE(interrupted.comes_to_catch(SIGINT));
  std::this_thread::sleep_for(std::chrono::milliseconds(150));
  interrupted.send(SIGINT);
  const Outcome outcome = interrupted.wait();
  if (outcome.code == 130) {  // else it was faster
    EXPECT_THAT(outcome.err,
                testing::AnyOf(testing::MatchesRegex(
                                   "interrupted; [0-9]+ of 30 points are in long.sqlite, the "
                                   "same command goes on from there\n"),
                               "interrupted; nothing was written\n"));
  }
  const Outcome rest = moesim({"sweep", "long.toml"});
  EXPECT_EQ(rest.code, 0) << rest.err;
  const Json results = json_of({"results", "long.sqlite", "--json"});
  for (const Json& point : results["points"]) {
    EXPECT_EQ(point["state"], "done");
  }
}

TEST_F(Sweeps, AreListedWithoutRunning) {
  const Outcome list = moesim({"sweep", "study.toml", "--list"});
  EXPECT_EQ(list.code, 0);
  EXPECT_EQ(list.err, "10 points, 6 scenarios to simulate, 2 refused\n");
  EXPECT_THAT(entries(), testing::Not(testing::Contains("study.sqlite")));
}

TEST_F(Sweeps, SayWhatIsWrong) {
  EXPECT_EQ(moesim({"sweep", "study.toml", "--part", "2/2"}).err,
            "error: --part \"2/2\": expected I/N with I from 0 to N - 1, such as 0/8\n");
  const Outcome stopped = moesim({"sweep", "study.toml", "--stop"});
  EXPECT_EQ(stopped.code, 2);
  EXPECT_THAT(stopped.err,
              StartsWith("error: point 6 is refused:\nstudy.toml:9:15: error: "
                         "parallel.ep: 3 does not divide model.num_experts = 8 "));
  write("none.toml", "scenario = \"scenario.toml\"\n[set]\nparallel.ep = 3\n");
  EXPECT_THAT(moesim({"sweep", "none.toml"}).err,
              StartsWith("error: no point of the study \"none\" can be loaded; the first:\n"
                         "none.toml:3:15: error: parallel.ep: 3 does not divide "));
  EXPECT_EQ(moesim({"results", "scenario.toml"}).err,
            "error: scenario.toml is not a moesim result store\n");
  ASSERT_EQ(moesim({"sweep", "study.toml"}).code, 0);
  EXPECT_EQ(moesim({"results", "study.sqlite", "--report", "6"}).err,
            "error: point 6 has no report: it is refused\n");
  EXPECT_EQ(moesim({"results", "study.sqlite", "--scenario", "66"}).err,
            "error: study \"study\" has no point 66\n");
}

TEST_F(Sweeps, AreFilteredSortedAndCounted) {
  ASSERT_EQ(moesim({"sweep", "study.toml"}).code, 0);
  EXPECT_EQ(moesim({"results",
                    "study.sqlite",
                    "--csv",
                    "--where",
                    "batch.tokens_per_rank=8",
                    "--sort",
                    "capacity.factor",
                    "--descending",
                    "--columns",
                    "point,capacity.factor,summary.steps"})
                .out,
            "point,capacity.factor,summary.steps\n2,1.5,3\n4,1.5,3\n0,1,3\n");
  EXPECT_EQ(moesim({"results", "study.sqlite", "--studies"}).out,
            "study  waiting  running  done  refused\n"
            "study        0        0     7        3\n");
}

/// `mpirun` with arguments, `moesim sweep` written as SWEEP.
std::string mpirun(std::string arguments) {
  const std::string sweep = "'" MOESIM_BINARY "' sweep";
  for (std::size_t at = 0; (at = arguments.find("SWEEP", at)) != std::string::npos;) {
    arguments.replace(at, 5, sweep);
    at += sweep.size();
  }
  return "ASAN_OPTIONS=detect_leaks=0 mpirun --allow-run-as-root --oversubscribe " + arguments;
}

/// Some processes fail, and one says so: the lines that begin with "error: ", all of a run.
std::string errors_of(const std::string& log) {
  std::string errors;
  std::istringstream lines(log);
  for (std::string line; std::getline(lines, line);) {
    errors += line.starts_with("error: ") ? line + "\n" : "";
  }
  return errors;
}

TEST_F(Sweeps, SayOnceWhatIsWrongUnderMpi) {
  if (const std::string why = no_mpi(); !why.empty()) {
    GTEST_SKIP() << why;
  }
  struct Case {
    const char* arguments;
    int code;
    const char* words;
  };
  for (const Case& c :
       {Case{"-n 2 SWEEP study.toml --store nowhere/s.sqlite",
             1,
             "error: store nowhere/s.sqlite: unable to open database file\n"},
        Case{"-n 2 SWEEP study.toml --part 3/2",
             2,
             "error: --part \"3/2\": expected I/N with I from 0 to N - 1, such as 0/8\n"},
        Case{"-n 2 SWEEP study.toml --store s.sqlite --stop", 2, "error: point 6 is refused:\n"},
        Case{"-n 1 SWEEP study.toml --store t.sqlite : "
             "-n 1 -x MOESIM_DATA=/nowhere SWEEP study.toml",
             1,
             "error: process 1: MOESIM_DATA: /nowhere is not a folder\n"},
        Case{"-n 2 SWEEP study.toml --store s.sqlite --from none.sqlite",
             2,
             "error: none.sqlite is no file; expected a result store, as moesim sweep makes\n"}}) {
    EXPECT_EQ(shell(folder(), mpirun(c.arguments)), c.code) << c.arguments;
    EXPECT_EQ(errors_of(read(".log")), c.words) << c.arguments << read(".log");
  }
  // What a worker could not do is left to do.
  EXPECT_EQ(moesim({"sweep", "study.toml", "--store", "t.sqlite"}).code, 0);
  EXPECT_EQ(moesim({"results", "t.sqlite", "--studies"}).out,
            "study  waiting  running  done  refused\n"
            "study        0        0     7        3\n");
}

TEST_F(Sweeps, GiveTheSameBytesWithAnyNumberOfMpiProcesses) {
  if (const std::string why = no_mpi(); !why.empty()) {
    GTEST_SKIP() << why;
  }
  ASSERT_EQ(moesim({"sweep", "study.toml", "--store", "p0.sqlite"}).code, 0);
  for (const std::string processes : {"1", "2", "4"}) {
    const std::string store = "p" + processes + ".sqlite";
    const int code =
        shell(folder(), mpirun("-n " + processes + " SWEEP study.toml --store " + store));
    ASSERT_EQ(code, 0) << read(".log");
    EXPECT_EQ(csv(store), csv("p0.sqlite")) << processes;
    EXPECT_EQ(reports(store), reports("p0.sqlite")) << processes;
  }
  // A study that is wrong ends the workers too.
  write("wrong.toml", "scenario = 1\n");
  EXPECT_EQ(shell(folder(), mpirun("-n 2 SWEEP wrong.toml")), 2);
}

// Layers, a whole step, training and requests over time in one study.
TEST_F(Sweeps, KnowEveryKindOfStep) {
  write("arrivals.csv", "arrival_s,prompt_tokens,output_tokens\n0,40,5\n0.01,80,4\n0.02,30,6\n");
  edit_scenario("[batch]\ntokens_per_rank = 16\nsteps = 3\n", "");
  write("kinds.toml", R"(scenario = "scenario.toml"
[[points]]
batch.tokens_per_rank = 16
[[points]]
step.kind = "decode"
batch.tokens_per_rank = 16
batch.context_tokens = 100
[[points]]
step.kind = "train"
batch.tokens_per_rank = 16
batch.context_tokens = 16
batch.micro_batches = 2
parallel.ep = 2
parallel.pp = 2
[[points]]
step.kind = "serving"
requests.source = "table"
requests.path = "arrivals.csv"
requests.ttft_slo = "1 s"
[[points]]
step.kind = "serving"
requests.count = 20
requests.prompt_tokens = 50
requests.output_tokens = 5
requests.check_steps = 2
)");
  ASSERT_EQ(moesim({"sweep", "kinds.toml", "--store", "one.sqlite", "--threads", "1"}).code, 0);
  ASSERT_EQ(moesim({"sweep", "kinds.toml", "--store", "two.sqlite", "--threads", "2"}).code, 0);
  EXPECT_EQ(csv("one.sqlite"), csv("two.sqlite"));
  for (const char* point : {"2", "3", "4"}) {
    EXPECT_EQ(moesim({"results", "one.sqlite", "--report", point}).out,
              moesim({"results", "two.sqlite", "--report", point}).out);
  }
  const Json points = json_of({"results", "one.sqlite", "--json"})["points"];
  ASSERT_EQ(points.size(), 5U);
  for (const Json& point : points) {
    EXPECT_EQ(point["state"], "done") << point;
  }
  EXPECT_GT(points[2]["summary.mfu_ratio"], 0.0);
  EXPECT_GT(points[2]["summary.bubble_ratio"], 0.0);
  EXPECT_GT(points[3]["summary.ttft_s.p95"], 0.0);
  EXPECT_GT(points[3]["summary.tpot_s.p50"], 0.0);
  EXPECT_GT(points[3]["summary.output_tokens_per_s"], 0.0);
  EXPECT_EQ(points[3]["summary.slo_ratio"], 1.0);
  EXPECT_EQ(points[4]["summary.slo_ratio"], nullptr);
  EXPECT_GT(points[4]["step_times.p90_error_ratio"], -1.0);
  const Json kept = json_of({"results", "one.sqlite", "--report", "3"});
  EXPECT_EQ(kept["inputs"].size(), 2);  // the pack and the arrivals
  // Other arrivals in the same file are another scenario.
  write("arrivals.csv", "arrival_s,prompt_tokens,output_tokens\n0,40,5\n");
  EXPECT_EQ(moesim({"sweep", "kinds.toml", "--store", "one.sqlite"}).err,
            "5 points, 5 scenarios: 1 simulated, 4 known before; store: one.sqlite\n");
}

TEST_F(Sweeps, SayWhatTheyDoNotShow) {
  std::string ranks = "4";
  for (int i = 0; i < 41; ++i) {
    ranks += ", " + std::to_string(101 + i);
  }
  write("long.toml", "scenario = \"scenario.toml\"\n[grid]\nparallel.ep = [" + ranks + "]\n");
  const Outcome sweep = moesim({"sweep", "long.toml"});
  EXPECT_EQ(sweep.code, 0) << sweep.err;
  EXPECT_THAT(sweep.out, HasSubstr("\nand 2 more\n"));
  EXPECT_THAT(sweep.out,
              HasSubstr("\nand 36 more are refused; --columns point,message shows why\n"));
  const Outcome chosen = moesim({"results", "long.sqlite", "--where", "parallel.ep<103"});
  EXPECT_EQ(chosen.err, "3 of 42 points\n");
}

}  // namespace
}  // namespace moesim::cli_tests
