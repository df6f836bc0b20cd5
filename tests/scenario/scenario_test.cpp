// SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/scenario.hpp"

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <functional>
#include <regex>
#include <string>
#include <vector>

#include "sim/core/atomic_file.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/scenario/digest.hpp"

namespace moesim {
namespace {
namespace fs = std::filesystem;

constexpr const char* kModel = R"(name = "small"
hidden_size = 256
layers = 3
moe_layers = 2
first_moe_layer = 1
num_experts = 64
top_k = 6
expert_width = 128
dense_width = 512
vocabulary = 1000

[attention]
kind = "gqa"
heads = 8
kv_heads = 2
head_dim = 32
)";
constexpr const char* kCluster = R"(name = "two nodes"
nodes = 2
gpus_per_node = 8

[gpu]
name = "H200"
memory = "141 GB"
memory_bandwidth = "4.8 TB/s"
bf16_rate = "989 Tflop/s"
fp8_rate = "1979 Tflop/s"
sms = 132

[scale_up]
bandwidth = "450 GB/s"
latency = "0.7 us"

[nic]
per_node = 8
bandwidth = "400 Gbit/s"
pcie_bandwidth = "64 GB/s"
latency = "2.3 us"
)";
constexpr const char* kAssumed = R"(source = "test"
evidence = "assumed"
kernel_launch = "3 us"
gemm_efficiency = 0.7
tile_rows = 128
tile_columns = 128
memory_efficiency = 0.9
scale_up_efficiency = 0.8
scale_out_efficiency = 1
communication_start = "5 us"
message_gap = "10 ns"
)";
constexpr const char* kScenario = R"(seed = 7
[model]
preset = "small"
top_k = 8
[cluster]
preset = "pair"
gpu.sms = 100
[parallel]
ep = 16
[batch]
tokens_per_rank = 128
[routing]
trace = "shipped"
)";

/// A data folder and a working directory of its own for each test.
class ScenarioFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "moesim-scenario-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    before_ = fs::current_path();
    fs::current_path(folder_);
    ::setenv("MOESIM_DATA", "data", 1);
    write_file_atomically("data/models/small.toml", kModel);
    write_file_atomically("data/clusters/pair.toml", kCluster);
    write_file_atomically("data/calibration/assumed.toml", kAssumed);
    fs::create_directories("data/traces/shipped");
  }
  void TearDown() override {
    ::unsetenv("MOESIM_DATA");
    fs::current_path(before_);
    fs::remove_all(folder_);
  }

  static Scenario load(const std::string& text, const std::vector<Override>& overrides = {}) {
    write_file_atomically("x.toml", text);
    return load_scenario("x.toml", overrides);
  }
  /// Every mistake of the scenario, as the user sees it.
  static std::string mistakes(const std::string& text,
                              const std::vector<Override>& overrides = {}) {
    try {
      (void)load(text, overrides);
    } catch (const UserError& error) {
      return error.what();
    }
    return "no mistake";
  }
  /// What the environment refuses, in words.
  static std::string refusal(const std::function<void()>& action) {
    try {
      action();
    } catch (const EnvironmentError& error) {
      return error.what();
    }
    return "nothing refused";
  }

 private:
  fs::path folder_;
  fs::path before_;
};

TEST_F(ScenarioFile, KeysBesideAPresetOverrideItAtAnyDepth) {
  const Scenario s = load(kScenario);
  EXPECT_EQ(s.seed, 7U);
  EXPECT_EQ(s.model.name, "small");
  EXPECT_EQ(s.model.top_k, 8);
  EXPECT_EQ(s.cluster.gpu.sms, 100);
  EXPECT_EQ(s.cluster.gpu.memory, gigabytes(141));
  EXPECT_EQ(s.cluster.nic.bandwidth, gigabits_per_second(400));
  EXPECT_EQ(s.calibration.scale_out_efficiency, 1.0);
  EXPECT_EQ(s.routing.trace, "data/traces/shipped");
  EXPECT_THAT(s.inputs,
              testing::ElementsAre("x.toml",
                                   "data/models/small.toml",
                                   "data/clusters/pair.toml",
                                   "data/calibration/assumed.toml"));
}

TEST_F(ScenarioFile, AnOverrideBeatsTheFileAndTakesUnitsAndWordsWithoutQuotes) {
  const Scenario s = load(kScenario,
                          {"parallel.ep=8",
                           "cluster.nic.bandwidth=50 GB/s",
                           "capacity.policy=drop",
                           "capacity.factor=1.25",
                           "calibration.tile_rows=64"});
  EXPECT_EQ(s.parallel.ep, 8);
  EXPECT_EQ(s.cluster.nic.bandwidth, gigabytes_per_second(50));
  EXPECT_EQ(s.capacity.policy, OverflowPolicy::kDrop);
  EXPECT_EQ(s.capacity.factor, 1.25);
  EXPECT_EQ(s.calibration.tile_rows, 64);
}

TEST_F(ScenarioFile, TheResolvedScenarioLoadsBackToItself) {
  const std::vector<std::vector<Override>> variants = {
      {},
      {"capacity.policy=drop", "capacity.factor=0.1", "capacity.scope=group"},
      {"dispatch.dispatcher=hierarchical", "dispatch.forwarding=store_and_forward"},
      {"dispatch.dispatcher=low_latency", "dispatch.scale_up=false"},
      {"routing.domains=[\"a\", \"b \\\"c\\\"\"]", "routing.draw=tokens"},
      {"cluster.scale_up.latency=0.123456789012345 us", "network.engine=simgrid"}};
  for (const std::vector<Override>& overrides : variants) {
    const std::string resolved = resolved_toml(load(kScenario, overrides));
    EXPECT_EQ(resolved_toml(load(resolved)), resolved);
    EXPECT_THAT(resolved, testing::HasSubstr("trace = \"shipped\"\n"));
    EXPECT_THAT(resolved, testing::Not(testing::HasSubstr("preset")));
  }
  EXPECT_NE(resolved_toml(load(kScenario, variants[1])), resolved_toml(load(kScenario)));
}

TEST_F(ScenarioFile, EveryMistakeIsShownAtOnceInOrderOfTheText) {
  EXPECT_EQ(mistakes(R"([model]
preset = "smal"
[parallel]
ep = "16"
tokens_per_rank = 3
[batch]
[cluster]
preset = "pair"
[cluster.scale_up]
bandwidth = "450 Gb/s"
[routing]
trace = "shipped"
draw = "random"
[speed]
x = 1
)"),
            R"(x.toml:2:10: error: model.preset: "smal" is unknown
     2 | preset = "smal"
       |          ^ did you mean "small"? known: small
x.toml:4:6: error: parallel.ep: "16" is a string
     4 | ep = "16"
       |      ^ expected an integer, 1 or more
x.toml:5:1: error: parallel.tokens_per_rank: unknown key; did you mean "batch.tokens_per_rank"?
     5 | tokens_per_rank = 3
       | ^
x.toml:6:1: error: batch.tokens_per_rank: missing
     6 | [batch]
       | ^ expected an integer, 1 or more
x.toml:10:13: error: cluster.scale_up.bandwidth: "450 Gb/s" is ambiguous
    10 | bandwidth = "450 Gb/s"
       |             ^ expected a bandwidth: <number> B/s, kB/s, MB/s, GB/s, TB/s, Mbit/s, Gbit/s or Tbit/s
x.toml:13:8: error: routing.draw: "random" is no such word
    13 | draw = "random"
       |        ^ expected sequences or tokens
x.toml:14:1: error: speed: unknown table
    14 | [speed]
       | ^)");
}

TEST_F(ScenarioFile, ContradictingKeysAreBothNamedWithThePlaceOfTheSecond) {
  EXPECT_EQ(mistakes(kScenario, {"parallel.ep=48"}),
            "--set parallel.ep=48: error: parallel.ep: 48 does not divide model.num_experts = 64 "
            "(data/models/small.toml:6)\n"
            "--set parallel.ep=48: error: parallel.ep: 48 ranks do not fit 16 GPUs: "
            "cluster.nodes = 2 (data/clusters/pair.toml:2), cluster.gpus_per_node = 8 "
            "(data/clusters/pair.toml:3)");
  EXPECT_EQ(mistakes(kScenario, {"capacity.factor=1.5"}),
            "--set capacity.factor=1.5: error: capacity.factor: 1.5 has no effect with "
            "capacity.policy = none (default)");
}

TEST_F(ScenarioFile, AnUnknownOverrideSuggestsTheNearestKey) {
  EXPECT_EQ(mistakes(kScenario, {"paralel.ep=8", "parallel.epp=8", "nonsense"}),
            "--set nonsense: error: expected path.to.key=value\n"
            "--set paralel.ep=8: error: paralel: unknown table; did you mean \"parallel\"?\n"
            "--set parallel.epp=8: error: parallel.epp: unknown key; did you mean \"ep\"?");
}

TEST_F(ScenarioFile, TextThatIsNotTomlIsRefusedWithItsPlace) {
  EXPECT_THAT(mistakes("[model\n"), testing::StartsWith("x.toml:1:7: error: not TOML"));
  EXPECT_EQ(mistakes("a" + std::string(5000, '.') + " = 1\n"),
            "x.toml: error: more than 4096 dots; no scenario needs that");
}

TEST_F(ScenarioFile, TextThatIsTooLargeIsRefusedWithTheBound) {
  const std::string comment = "# " + std::string(1 << 20, '-') + "\n";
  EXPECT_EQ(mistakes(comment),
            "x.toml: error: 1048579 bytes; expected a scenario of at most 1 MiB");
  const std::string dots = "seed=1" + std::string(4097, '.');
  EXPECT_EQ(mistakes(kScenario, {dots}),
            "--set " + dots + ": error: more than 4096 dots; no scenario needs that");
}

TEST_F(ScenarioFile, APresetOfAnEmptyFolderIsUnknownWithoutNames) {
  fs::remove_all("data/clusters");
  EXPECT_EQ(mistakes(kScenario), R"(x.toml:6:10: error: cluster.preset: "pair" is unknown
     6 | preset = "pair"
       |          ^ none is known)");
}

TEST_F(ScenarioFile, APresetByPathIsSeenFromTheFileThatStatesIt) {
  write_file_atomically("studies/models/mine.toml", kModel);
  write_file_atomically("studies/y.toml",
                        std::regex_replace(kScenario, std::regex("small"), "models/mine.toml"));
  EXPECT_EQ(load_scenario("studies/y.toml", {}).inputs.at(1), "studies/models/mine.toml");
  const Scenario overridden =
      load_scenario("studies/y.toml", {"model.preset=studies/models/mine.toml"});
  EXPECT_EQ(overridden.inputs.at(1), "studies/models/mine.toml");
}

TEST_F(ScenarioFile, WhatTheSystemCannotGiveIsNoMistakeOfTheScenario) {
  EXPECT_EQ(refusal([] { (void)load_scenario("nothing.toml", {}); }),
            "cannot read nothing.toml: No such file or directory");
  write_file_atomically("x.toml", kScenario);
  ::setenv("MOESIM_DATA", "elsewhere", 1);
  EXPECT_EQ(refusal([] { (void)load_scenario("x.toml", {}); }),
            "MOESIM_DATA: elsewhere is not a folder");
}

TEST_F(ScenarioFile, ADigestIsThatOfSha256sum) {
  write_file_atomically("pack/a", "abc");
  EXPECT_EQ(sha256_hex("pack/a"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const std::string before = sha256_hex("pack");
  write_file_atomically("pack/b", "");
  EXPECT_NE(sha256_hex("pack"), before);
  EXPECT_THROW((void)sha256_hex("nothing"), EnvironmentError);
}

}  // namespace
}  // namespace moesim
