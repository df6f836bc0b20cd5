// SPDX-License-Identifier: Apache-2.0
// Real recordings, when they are at hand: the program imports, describes and replays each of them.
// They are not part of the repository.
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdlib>

#include "tests/cli/scene.hpp"

namespace moesim::cli_tests {
namespace {

using nlohmann::json;

/// A recording, the options that import it ("@" stands for the folder of recordings) and what
/// `trace info` says of the pack.
struct Recording {
  std::string name;
  std::string input;
  std::vector<std::string> options;
  int experts;
  int top_k;
  int layers;
  int tokens;     ///< 0: a counts pack
  int steps;      ///< of a counts pack
  int sequences;  ///< of a per-token pack
};

std::vector<Recording> recordings() {
  const std::string counts = "olmoe-mixtral-counts/expert_counts.csv";
  std::vector<Recording> list = {
      {"GptOss",
       "gpt-oss-20b-decode/topk.npy.gz",
       {"--index", "@/gpt-oss-20b-decode/index.csv", "--experts", "32", "--drop-duplicates"},
       32,
       4,
       24,
       215'051,
       0,
       702},
      {"Esft",
       "deepseek-v2lite-esft-prefill/topk.npy.gz",
       {"--index", "@/deepseek-v2lite-esft-prefill/index.csv", "--experts", "64"},
       64,
       6,
       26,
       33'279,
       0,
       213},
      {"SmartMoeCounts",
       "smartmoe-gpt-training/counts_every50.npy.gz",
       {"--top-k", "2", "--phase", "training"},
       32,
       2,
       24,
       0,
       101,
       0},
      {"SmartMoeLoad",
       "smartmoe-gpt-training/load_all_iters.npy.gz",
       {"--top-k", "2", "--experts", "32"},
       32,
       2,
       24,
       0,
       501,
       0},
      {"GraniteServing",
       "granite-1b-simllm/sglang_cpu_routing-trace.jsonl.gz",
       {},
       32,
       8,
       24,
       216,
       0,
       8},
      {"GraniteLengthCap",
       "granite-1b-simllm/transformers_cpu_granite_length_cap.jsonl.gz",
       {},
       32,
       8,
       24,
       22,
       0,
       1}};
  for (const char* domain : {"arxiv", "book", "c4", "github", "tulu", "wikipedia"}) {
    list.push_back({std::string("Olmoe_") + domain,
                    counts,
                    {"--model", "olmoe", "--domain", domain, "--top-k", "8"},
                    64,
                    8,
                    3,
                    0,
                    1,
                    0});
  }
  for (const char* domain : {"arxiv", "book", "c4", "github", "wikipedia"}) {
    list.push_back({std::string("Mistral_") + domain,
                    counts,
                    {"--model", "mistral", "--domain", domain, "--top-k", "2"},
                    8,
                    2,
                    3,
                    0,
                    1,
                    0});
  }
  return list;
}

std::filesystem::path recording_folder() {
  const char* const named = std::getenv("MOESIM_DATA_SETS");
  return (named != nullptr ? std::filesystem::path(named)
                           : std::filesystem::path(MOESIM_SOURCE_DIR) / "../shared/data") /
         "routing";
}

class Recordings : public Scene, public testing::WithParamInterface<Recording> {
 protected:
  void SetUp() override {
    if (!std::filesystem::is_directory(recording_folder())) {
      GTEST_SKIP() << "no data sets at ../shared/data or $MOESIM_DATA_SETS";
    }
  }
  /// Makes the route pack `real`.
  void import(const Recording& recording) const {
    const std::filesystem::path folder = std::filesystem::canonical(recording_folder());
    std::vector<std::string> arguments = {
        "trace", "import", (folder / recording.input).string(), "real"};
    for (const std::string& option : recording.options) {
      arguments.push_back(option.starts_with('@') ? folder.string() + option.substr(1) : option);
    }
    const Outcome imported = moesim(arguments);
    ASSERT_EQ(imported.code, 0) << imported.err;
  }
};

TEST_P(Recordings, ImportsAndReplays) {
  const Recording& recording = GetParam();
  import(recording);
  const json info = json_of({"trace", "info", "real", "--json"});
  EXPECT_EQ(info["experts"], recording.experts);
  EXPECT_EQ(info["top_k"], recording.top_k);
  EXPECT_EQ(info["layers"], recording.layers);
  EXPECT_EQ(info["tokens"], recording.tokens);
  EXPECT_EQ(info["steps"], recording.steps);
  EXPECT_EQ(info["sequences"], recording.sequences);
  for (const json& finding : info["findings"]) {
    EXPECT_FALSE(finding["unfit"].get<bool>()) << finding;
  }
  EXPECT_EQ(lines_over_80(moesim({"trace", "info", "real"}).out), "");

  const std::string layers = std::to_string(recording.layers);
  edit_scenario("layers = 2\nmoe_layers = 2\nnum_experts = 8\ntop_k = 2\n",
                "layers = " + layers + "\nmoe_layers = " + layers +
                    "\nnum_experts = " + std::to_string(recording.experts) +
                    "\ntop_k = " + std::to_string(recording.top_k) + "\n");
  edit_scenario("steps = 3\n", "steps = 1\n\n[step]\nlayers = 2\n");
  edit_scenario("./pack", "./real");
  const json report = json_of({"run", "scenario.toml", "--json"});
  ASSERT_EQ(report["steps"].size(), 1U);
  ASSERT_EQ(report["steps"][0]["layers"].size(), 2U);
  EXPECT_EQ(report["summary"]["assignments"], 2 * 4 * 16 * recording.top_k);
  EXPECT_GT(report["summary"]["step_s"]["mean"].get<double>(), 20e-6);
  EXPECT_EQ(report["routing"]["origin"], recording.tokens > 0 ? "trace" : "counts");
  for (const json& layer : report["steps"][0]["layers"]) {
    EXPECT_GE(layer["expert_imbalance_ratio"].get<double>(), 1.0);
  }
}

INSTANTIATE_TEST_SUITE_P(Each,
                         Recordings,
                         testing::ValuesIn(recordings()),
                         [](const auto& recording) { return recording.param.name; });

}  // namespace
}  // namespace moesim::cli_tests
