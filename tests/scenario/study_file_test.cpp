// SPDX-License-Identifier: Apache-2.0
// Study files: what they mean, every mistake word for word, and points loaded with their settings.
#include "sim/scenario/study_file.hpp"

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "sim/core/atomic_file.hpp"
#include "sim/core/diagnostics.hpp"

namespace moesim {
namespace {

using testing::ElementsAre;
namespace fs = std::filesystem;

class StudyFiles : public testing::Test {
 protected:
  StudyFiles() : before_(fs::current_path()) {
    folder_ = fs::temp_directory_path() / ("moesim_studies_" + std::to_string(::getpid()));
    fs::create_directories(folder_);
    fs::current_path(folder_);
    ::setenv("MOESIM_DATA", MOESIM_SOURCE_DIR "/scenarios", 1);
    write_file_atomically("base.toml", R"([model]
preset = "mixtral-8x7b"
[cluster]
preset = "h100-hgx"
nodes = 1
[parallel]
ep = 8
[batch]
tokens_per_rank = 16
[routing]
preset = "uniform"
source = "generated"
[step]
layers = 1
)");
  }
  ~StudyFiles() override {
    ::unsetenv("MOESIM_DATA");
    fs::current_path(before_);
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  static StudyFile read(const std::string& text) {
    write_file_atomically("study.toml", text);
    return read_study("study.toml");
  }
  static std::string mistakes(const std::string& text) {
    try {
      (void)read(text);
    } catch (const UserError& error) {
      return error.what();
    }
    return "none";
  }
  static std::vector<std::string> points(const StudyFile& file) {
    std::vector<std::string> points;
    for (const SweepChoice& point : expand(file.study)) {
      std::string text;
      for (const SweepSetting& setting : point) {
        text += (text.empty() ? "" : " ") + setting.key + "=" + to_text(setting.value);
      }
      points.push_back(text);
    }
    return points;
  }

 private:
  fs::path before_;
  fs::path folder_;
};

TEST_F(StudyFiles, MeanWhatTheySay) {
  const StudyFile file = read(R"(scenario = "base.toml"
metrics = ["summary.step_s.mean"]
seeds = [1, 2]
[set]
capacity.policy = "drop"
[grid]
capacity.factor = [1.0, 1.5]
[[zip]]
"batch.tokens_per_rank" = [16, 32]
"cluster.nic.bandwidth" = ["25 GB/s", "50 GB/s"]
[[points]]
model.top_k = 1
)");
  EXPECT_EQ(file.name, "study");
  EXPECT_EQ(file.scenario, "base.toml");
  EXPECT_THAT(file.metrics, ElementsAre("summary.step_s.mean"));
  const std::vector<std::string> all = points(file);
  ASSERT_EQ(all.size(), 10);
  EXPECT_EQ(all[0],
            "capacity.policy=drop capacity.factor=1 batch.tokens_per_rank=16 "
            "cluster.nic.bandwidth=25 GB/s seed=1");
  EXPECT_EQ(all[3],
            "capacity.policy=drop capacity.factor=1 batch.tokens_per_rank=32 "
            "cluster.nic.bandwidth=50 GB/s seed=2");
  EXPECT_EQ(all[9], "capacity.policy=drop model.top_k=1 seed=2");
}

TEST_F(StudyFiles, PointsAreLoadedWithTheirSettings) {
  const StudyFile file = read(R"(scenario = "base.toml"
[grid]
model.top_k = [1, 4]
)");
  ParsedFiles files;
  std::vector<int> top_k;
  for (const SweepChoice& point : expand(file.study)) {
    const Scenario scenario = load_point(file, point, files);
    top_k.push_back(scenario.model.top_k);
    // A resolved text loads back to itself: what processes send each other.
    const std::string resolved = resolved_toml(scenario);
    EXPECT_EQ(resolved_toml(load_resolved(resolved, "a point")), resolved);
  }
  EXPECT_THAT(top_k, ElementsAre(1, 4));
}

TEST_F(StudyFiles, APointThatContradictsItselfSaysSoAtTheStudysPlace) {
  const StudyFile file = read(R"(scenario = "base.toml"
[grid]
parallel.ep = [8, 3]
)");
  ParsedFiles files;
  try {
    (void)load_point(file, expand(file.study)[1], files);
    FAIL() << "loaded";
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(),
                testing::StartsWith("study.toml:3:19: error: parallel.ep: 3 does not divide "
                                    "model.num_experts = 8 ("));
  }
}

TEST_F(StudyFiles, AllMistakesAreSaidAtOnceWithTheirPlaces) {
  EXPECT_EQ(mistakes(R"(scenario = "bass.toml"
name = 3
metrics = "summary"
seed = [1]
grids.x = 1
[grid]
model.top_k = [1, "2", 0.5]
modle.layers = [2]
batch.tokens_per_rank = 16
capacity.factor = []
model.preset = ["mixtral-8x7b", "none.toml"]
[[zip]]
model.top_k = [1]
[[zip]]
batch.steps = [1, 2]
step.layers = [1]
[[zip]]
[[points]]
cluster.nic.bandwidth = "25 Gb/s"
seed = 1979-05-27
)"),
            R"(study.toml:1:12: error: scenario: bass.toml is no file
     1 | scenario = "bass.toml"
       |            ^ expected the path of a scenario file
study.toml:2:8: error: name: 3 is an integer
     2 | name = 3
       |        ^ expected a name
study.toml:3:11: error: metrics: "summary" is a string
     3 | metrics = "summary"
       |           ^ expected paths into a report, such as ["summary.step_s.mean"]
study.toml:4:1: error: seed: unknown key; did you mean "seeds"?
     4 | seed = [1]
       | ^
study.toml:5:1: error: grids: unknown key; did you mean "grid"?
     5 | grids.x = 1
       | ^
study.toml:7:19: error: model.top_k: "2" is a string
     7 | model.top_k = [1, "2", 0.5]
       |                   ^ expected an integer from 0 to 65534
study.toml:7:24: error: model.top_k: 0.5 is a float
     7 | model.top_k = [1, "2", 0.5]
       |                        ^ expected an integer from 0 to 65534
study.toml:8:17: error: modle: unknown table; did you mean "model"?
     8 | modle.layers = [2]
       |                 ^
study.toml:9:25: error: grid.batch.tokens_per_rank: 16 is an integer
     9 | batch.tokens_per_rank = 16
       |                         ^ expected a list of values, such as [1, 2, 4]
study.toml:10:19: error: grid.capacity.factor: an empty list
    10 | capacity.factor = []
       |                   ^ expected a list of values, such as [1, 2, 4]
study.toml:11:33: error: model.preset: "none.toml" is unknown
    11 | model.preset = ["mixtral-8x7b", "none.toml"]
       |                                 ^ none.toml is no file
study.toml:13:7: error: zip[0].model.top_k: "model.top_k" is varied in line 7 already
    13 | model.top_k = [1]
       |       ^
study.toml:16:15: error: zip[1].step.layers: 1 values, but 2 in line 15
    16 | step.layers = [1]
       |               ^ expected lists of the same length
study.toml:17:1: error: zip[2]: an empty table
    17 | [[zip]]
       | ^ expected keys with lists of values
study.toml:19:25: error: cluster.nic.bandwidth: "25 Gb/s" is ambiguous
    19 | cluster.nic.bandwidth = "25 Gb/s"
       |                         ^ expected a bandwidth: <number> B/s, kB/s, MB/s, GB/s, TB/s, Mbit/s, Gbit/s or Tbit/s
study.toml:20:8: error: points[0].seed: a date or time was found
    20 | seed = 1979-05-27
       |        ^ expected a value of a scenario key)");
}

TEST_F(StudyFiles, WhatIsNoStudyAtAllIsTold) {
  EXPECT_EQ(mistakes("wholly_unlike = 1\nzip = 3\n"),
            R"(study.toml: error: scenario: missing; expected the path of a scenario file
study.toml:1:1: error: wholly_unlike: unknown key; known: scenario, name, metrics, seeds, set, grid, zip or points
     1 | wholly_unlike = 1
       | ^
study.toml:2:7: error: zip: 3 is an integer
     2 | zip = 3
       |       ^ expected tables [[zip]])");
  EXPECT_EQ(mistakes("scenario = \"base.toml\"\npoints = [1, 2]\n"),
            R"(study.toml:2:10: error: points: a list of something else than strings was found
     2 | points = [1, 2]
       |          ^ expected tables [[points]])");
  EXPECT_EQ(mistakes("scenario = \"base.toml\"\n[[points]]\n"),
            R"(study.toml:2:1: error: points[0]: an empty table
     2 | [[points]]
       | ^ expected keys with values)");
}

TEST_F(StudyFiles, AStudyHasAMillionPointsAtMost) {
  std::string list = "1";
  for (int i = 2; i <= 1001; ++i) {
    list += ", " + std::to_string(i);
  }
  EXPECT_EQ(mistakes("scenario = \"base.toml\"\n[grid]\nbatch.tokens_per_rank = [" + list +
                     "]\nbatch.steps = [" + list + "]\n"),
            "study.toml: error: more than 1000000 points; take fewer values");
}

}  // namespace
}  // namespace moesim
