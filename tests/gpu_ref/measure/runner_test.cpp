// SPDX-License-Identifier: Apache-2.0
// The runner with a bench of made-up times and a fake clock: resuming, budget, skipping, Ctrl-C.
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "gpu_ref/measure/measurement.hpp"
#include "gpu_ref/measure/mistake.hpp"

namespace moesim::measure {
namespace {

using nlohmann::json;
using testing::ElementsAre;

/// A copy of `megabytes`, expected to take `seconds`.
Case copy_case(std::int64_t megabytes, double seconds) {
  Case c;
  c.input = CopyInput{.bytes = megabytes * 1'000'000};
  c.estimate_s = seconds;
  return c;
}

/// Takes `slowness` times the expected time of a case by moving the fake clock.
class FakeBench final : public Bench {
 public:
  DeviceIdentity identity() override {
    return {.name = gpu, .driver = "1.0", .cuda_runtime = "13.0", .sm_count = 1};
  }
  Clocks clocks() override { return {.sm_hz = 1e9 + 1e6 * now}; }
  Timing measure(const Case& c, const StopRule& /*rule*/) override {
    measured.push_back(key_of(c));
    now += c.estimate_s * slowness;
    if (measured.size() == fails_at) {
      throw std::runtime_error("the device fell off the bus");
    }
    if (std::get<CopyInput>(c.input).bytes == 13'000'000) {
      throw CaseSkipped("13 is unlucky");
    }
    Timing timing;
    timing.samples_s = {1e-3, 1e-3, 1.1e-3};
    return timing;
  }

  std::string gpu = "Fake GPU";
  double now = 100;
  double slowness = 1;
  std::size_t fails_at = 0;
  std::vector<std::string> measured;
};

class SweepRuns : public testing::Test {
 protected:
  ~SweepRuns() override { std::filesystem::remove(file_); }

  RunnerResult run(const std::vector<Case>& cases, double budget = 1e9) {
    const WallClock clock{.seconds = [this] { return bench_.now; },
                          .utc_text = [] { return std::string("2000-01-01T00:00:00Z"); }};
    return run_sweep(cases,
                     bench_,
                     clock,
                     {.file = file_,
                      .budget_s = budget,
                      .version = "0.0.0",
                      .commit = "fake",
                      .interrupted = &interrupted_,
                      .on_progress = [this](const Progress& p) {
                        progress_.push_back(progress_text(p));
                        interrupted_ = interrupted_ || progress_.size() == interrupt_after_;
                      }});
  }
  std::vector<json> lines() const {
    std::vector<json> records;
    std::ifstream in(file_);
    for (std::string line; std::getline(in, line);) {
      records.push_back(json::parse(line));
    }
    return records;
  }

  std::string file_ = (std::filesystem::temp_directory_path() /
                       ("moesim_runner_" + std::to_string(::getpid()) + ".jsonl"))
                          .string();
  FakeBench bench_;
  std::atomic<bool> interrupted_{false};
  std::size_t interrupt_after_ = 0;
  std::vector<std::string> progress_;
};

const std::vector<Case> kThree = {copy_case(1, 1), copy_case(13, 1), copy_case(2, 1)};

TEST_F(SweepRuns, WriteALineACaseAndNoteWhatCannotRun) {
  const RunnerResult result = run(kThree);
  EXPECT_EQ(result.measured, 2);
  EXPECT_EQ(result.skipped, 1);
  const std::vector<json> records = lines();
  ASSERT_EQ(records.size(), 3U);
  EXPECT_EQ(records[0]["time"]["median_s"], 1e-3);
  EXPECT_EQ(records[0]["device"]["before"]["sm_hz"], 1e9 + 100e6);
  EXPECT_EQ(records[0]["device"]["after"]["sm_hz"], 1e9 + 101e6);
  EXPECT_EQ(records[0]["moesim"]["commit"], "fake");
  EXPECT_EQ(records[1]["skipped"], "13 is unlucky");
  EXPECT_FALSE(records[1].contains("time"));
  EXPECT_THAT(progress_,
              ElementsAre("[    1/3] 1s copy/1000000/cold: 1000.00 us +-5.0 %",
                          "[    2/3] 2s copy/13000000/cold: skipped: 13 is unlucky",
                          "[    3/3] 3s copy/2000000/cold: 1000.00 us +-5.0 %"));
}

TEST_F(SweepRuns, GoOnWhereTheyEnded) {
  bench_.fails_at = 2;
  EXPECT_THROW((void)run(kThree), std::runtime_error);
  EXPECT_EQ(lines().size(), 1U);
  bench_.fails_at = 0;
  bench_.measured.clear();
  const RunnerResult result = run(kThree);
  EXPECT_EQ(result.already, 1);
  EXPECT_THAT(bench_.measured, ElementsAre("copy/13000000/cold", "copy/2000000/cold"));
  EXPECT_EQ(lines().size(), 3U);
  EXPECT_EQ(run(kThree).already, 3);
  EXPECT_EQ(lines().size(), 3U);
}

TEST_F(SweepRuns, BeginNoCaseThatWouldEndBeyondTheBudgetButAShorterOneBehindIt) {
  const RunnerResult result =
      run({copy_case(1, 4), copy_case(2, 5), copy_case(3, 8), copy_case(4, 1)}, 10);
  EXPECT_EQ(result.left_out, 1);
  EXPECT_THAT(bench_.measured,
              ElementsAre("copy/1000000/cold", "copy/2000000/cold", "copy/4000000/cold"));
  EXPECT_LE(bench_.now - 100, 10);
}

TEST_F(SweepRuns, LearnThatADeviceIsSlowerThanExpected) {
  bench_.slowness = 3;
  const RunnerResult result =
      run({copy_case(1, 1), copy_case(2, 1), copy_case(3, 3), copy_case(4, 1)}, 10);
  EXPECT_EQ(result.measured, 3);  // the third would need 9 s beyond the 6 spent
  EXPECT_EQ(result.left_out, 1);
  EXPECT_LE(bench_.now - 100, 10);
}

TEST_F(SweepRuns, StopBetweenCasesWhenInterrupted) {
  interrupt_after_ = 1;
  const RunnerResult result = run(kThree);
  EXPECT_TRUE(result.interrupted);
  EXPECT_EQ(result.measured, 1);
  EXPECT_EQ(lines().size(), 1U);
}

TEST_F(SweepRuns, RefuseTheFileOfAnotherGpu) {
  (void)run(kThree);
  bench_.gpu = "Other GPU";
  try {
    (void)run(kThree);
    FAIL();
  } catch (const KitMistake& mistake) {
    EXPECT_EQ(mistake.what(),
              file_ +
                  ": holds measurements of \"Fake GPU\", this GPU is \"Other GPU\"; name "
                  "another file");
  }
}

TEST_F(SweepRuns, RefuseAnExistingFileWhenAFreshOneIsAsked) {
  (void)run(kThree);
  try {
    (void)run_sweep(kThree, bench_, system_clock(), {.file = file_, .fresh = true});
    FAIL();
  } catch (const KitMistake& mistake) {
    EXPECT_EQ(mistake.what(), file_ + ": exists; name another file or leave --fresh out");
  }
}

std::string mistake_of(const std::vector<std::string_view>& words) {
  try {
    (void)parse_options(words);
  } catch (const KitMistake& mistake) {
    return mistake.what();
  }
  return "";
}

TEST(Options, AreReadFromTheWords) {
  const std::vector<std::string_view> words = {
      "--out", "a.jsonl", "--only", "gate,copy", "--budget", "60", "--gpu", "3", "--full", "-q"};
  const MeasureOptions options = parse_options(words);
  EXPECT_EQ(options.file, "a.jsonl");
  EXPECT_THAT(options.only, ElementsAre("gate", "copy"));
  EXPECT_EQ(budget_of(options), 60);
  EXPECT_EQ(options.gpu, 3);
  EXPECT_TRUE(options.full && options.quiet && !options.list);
  EXPECT_EQ(budget_of({}), 480);
  EXPECT_GT(budget_of({.full = true}), 1e300);
}

TEST(Options, MistakesAreNamed) {
  EXPECT_EQ(mistake_of({"--bogus"}), "unknown option --bogus; --help lists them");
  EXPECT_EQ(mistake_of({"stray", "word"}), "unknown option stray; --help lists them");
  EXPECT_EQ(mistake_of({"--out"}), "--out: needs a value");
  EXPECT_EQ(mistake_of({"--budget", "soon"}), "--budget: expected a number from 1, found \"soon\"");
  EXPECT_EQ(mistake_of({"--budget", "nan"}), "--budget: expected a number from 1, found \"nan\"");
  EXPECT_EQ(mistake_of({"--gpu", "-1"}), "--gpu: expected a number from 0, found \"-1\"");
}

TEST(Options, EveryKindStandsInTheHelp) {
  for (const std::string& kind : sweep_kinds()) {
    EXPECT_NE(usage().find(kind), std::string_view::npos) << kind;
  }
}

ProcessGroup group_of(const std::map<std::string, std::string>& variables) {
  return process_group([&](const std::string& name) {
    const auto found = variables.find(name);
    return found == variables.end() ? std::string() : found->second;
  });
}

TEST(ProcessGroups, AreReadFromTheLauncher) {
  EXPECT_EQ(group_of({}).size, 1);
  const ProcessGroup slurm = group_of({{"SLURM_STEP_NUM_TASKS", "64"},
                                       {"SLURM_PROCID", "9"},
                                       {"SLURM_LOCALID", "1"},
                                       {"SLURM_JOB_ID", "77"},
                                       {"SLURM_STEP_ID", "0"}});
  EXPECT_EQ(slurm.size, 64);
  EXPECT_EQ(slurm.rank, 9);
  EXPECT_EQ(slurm.local_rank, 1);
  EXPECT_EQ(slurm.name, "77.0");
  const ProcessGroup mpi = group_of({{"OMPI_COMM_WORLD_SIZE", "2"},
                                     {"OMPI_COMM_WORLD_RANK", "1"},
                                     {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                                     {"PMIX_NAMESPACE", "job"}});
  EXPECT_EQ(mpi.rank, 1);
  EXPECT_EQ(mpi.name, "job");
}

TEST(ProcessGroups, OddEnvironmentsAreRefused) {
  const auto refusal = [](const std::map<std::string, std::string>& variables) -> std::string {
    try {
      (void)group_of(variables);
    } catch (const KitMistake& mistake) {
      return mistake.what();
    }
    return "";
  };
  EXPECT_EQ(refusal({{"OMPI_COMM_WORLD_SIZE", "two"}}),
            "environment: OMPI_COMM_WORLD_SIZE is no count: \"two\"");
  EXPECT_EQ(refusal({{"OMPI_COMM_WORLD_SIZE", "2"}, {"OMPI_COMM_WORLD_RANK", "2"}}),
            "environment: rank 2 of 2 processes");
  EXPECT_EQ(refusal({{"OMPI_COMM_WORLD_SIZE", "2"}}),
            "environment: the launcher names no job (PMIX_NAMESPACE); use srun or OpenMPI");
}

}  // namespace
}  // namespace moesim::measure
