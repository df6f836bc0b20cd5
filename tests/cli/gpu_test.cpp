// SPDX-License-Identifier: Apache-2.0
// `moesim measure` and `run --backend`: what they say without a GPU, lists, mistakes.
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "gpu_ref/device/devices.hpp"
#include "tests/cli/scene.hpp"

namespace moesim::cli_tests {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

class GpuCommands : public Scene {
 protected:
  /// The command ends with exit code 1 and CUDA's reason, and leaves nothing.
  void expect_no_gpu(const std::vector<std::string>& arguments) const {
    if (gpu_ref::attached_gpus() > 0) {
      GTEST_SKIP() << "this machine has a GPU";
    }
    const std::vector<std::string> before = entries();
    const Outcome outcome = moesim(arguments);
    EXPECT_EQ(outcome.code, 1);
    EXPECT_EQ(outcome.out, "");
    EXPECT_THAT(outcome.err, StartsWith("error: no NVIDIA GPU that CUDA can use: "));
    if (!gpu_ref::built_with_cuda()) {
      EXPECT_EQ(outcome.err,
                "error: no NVIDIA GPU that CUDA can use: this moesim was built without CUDA (see "
                "docs/gpu.md)\n");
    }
    EXPECT_EQ(entries(), before);
  }
  void expect_mistake(const std::vector<std::string>& arguments, const std::string& words) const {
    const Outcome outcome = moesim(arguments);
    EXPECT_EQ(outcome.code, 2);
    EXPECT_EQ(outcome.err, words + "\n");
  }
};

TEST_F(GpuCommands, MeasureSaysThatThereIsNoGpu) {
  expect_no_gpu({"measure", "--out", "raw.jsonl"});
}

TEST_F(GpuCommands, TheGpuBackendSaysThatThereIsNoGpuBeforeItSimulates) {
  // Ten million steps would take hours.
  expect_no_gpu({"run", "scenario.toml", "--backend", "gpu", "--set", "batch.steps=10000000"});
  expect_no_gpu({"run", "scenario.toml", "--backend", "both", "--set", "batch.steps=10000000"});
}

TEST_F(GpuCommands, TheSimulatorIsTheDefaultBackend) {
  const Outcome named = moesim({"run", "scenario.toml", "--json", "--backend", "sim"});
  EXPECT_EQ(named.code, 0) << named.err;
  EXPECT_EQ(named.out, moesim({"run", "scenario.toml", "--json"}).out);
}

TEST_F(GpuCommands, UnknownBackendsAreRefused) {
  expect_mistake({"run", "scenario.toml", "--backend", "tpu"},
                 "error: --backend: tpu not in {sim,gpu,both}\nRun with --help for more "
                 "information.");
}

TEST_F(GpuCommands, TheListOfCasesNeedsNoGpu) {
  const Outcome outcome = moesim({"measure", "--list", "--only", "copy,launch"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, StartsWith("tier  kind           cases  expected  most memory\n"));
  EXPECT_THAT(outcome.out, HasSubstr("   0  copy               4 "));
  EXPECT_THAT(outcome.out, EndsWith(" on one H200 (a roofline at half of its peak rates)\n"));
  const nlohmann::json list = json_of({"measure", "--list", "--json", "--only", "copy,launch"});
  EXPECT_EQ(list["cases"].size(), 7U);
  EXPECT_EQ(list["cases"][0]["case"], "copy/1073741824/cold");
  EXPECT_GT(list["cases"][0]["expected_s"].get<double>(), 0);
}

TEST_F(GpuCommands, ATraceIsReplayedAsASkew) {
  ASSERT_EQ(moesim({"trace", "info", "pack", "--out", "info"}).code, 0);
  const nlohmann::json list =
      json_of({"measure", "--list", "--json", "--trace", "info/expert_load.csv"});
  bool found = false;
  for (const nlohmann::json& c : list["cases"]) {
    found = found || c["case"].get<std::string>().find("trace-0") != std::string::npos;
  }
  EXPECT_TRUE(found);
}

TEST_F(GpuCommands, MistakesOfMeasureAreNamed) {
  expect_mistake({"measure", "--list", "--only", "gates"},
                 "error: --only: unknown kind \"gates\"; known: device, copy, gemm, launch, gate, "
                 "permute, combine, quantise, activation, grouped_gemm, layer, collective");
  write("loads.csv", "a,b\n");
  expect_mistake({"measure", "--list", "--trace", "loads.csv"},
                 "error: loads.csv:1: expected the header layer,expert,assignments");
  write("loads.csv", "layer,expert,assignments\n0,1,5\n");
  expect_mistake({"measure", "--list", "--trace", "loads.csv"},
                 "error: loads.csv:2: expected layer,expert,assignments with layers and experts "
                 "counted up from 0");
  write("loads.csv", "layer,expert,assignments\n");
  expect_mistake({"measure", "--list", "--trace", "loads.csv"}, "error: loads.csv: holds no loads");
  const Outcome missing = moesim({"measure", "--list", "--trace", "nowhere.csv"});
  EXPECT_EQ(missing.code, 1);
  EXPECT_EQ(missing.err, "error: cannot read nowhere.csv\n");
}

/// Every option of `measure`, with every way to get it wrong.
TEST_F(GpuCommands, OptionsOfMeasureAreChecked) {
  const std::string more = "\nRun with --help for more information.";
  expect_mistake({"measure", "--budget", "0.5"},
                 "error: --budget: Value 0.5 not in range 1.000000 to 1000000000.000000" + more);
  expect_mistake({"measure", "--budget", "soon"},
                 "error: --budget: Value soon not in range 1.000000 to 1000000000.000000" + more);
  expect_mistake({"measure", "--gpu", "-1"},
                 "error: --gpu: Value -1 not in range 0 to 1023" + more);
  expect_mistake({"measure", "--gpu", "one"},
                 "error: --gpu: Value one not in range 0 to 1023" + more);
  expect_mistake({"measure", "--full=maybe"}, "error: Could not convert: --full = maybe" + more);
  const std::vector<std::pair<std::string, std::string>> takers = {
      {"--out", "FILE"},
      {"--trace", "FILE"},
      {"--only", "KINDS"},
      {"--budget", "SECONDS:FLOAT in [1 - 1e+09]"},
      {"--gpu", "N:INT in [0 - 1023]"}};
  for (const auto& [option, takes] : takers) {
    std::string words = "error: " + option;
    words.append(": 1 required ").append(takes).append(" missing").append(more);
    expect_mistake({"measure", option}, words);
  }
  expect_mistake({"measure", "--bogus"},
                 "error: The following argument was not expected: --bogus" + more);
}

}  // namespace
}  // namespace moesim::cli_tests
