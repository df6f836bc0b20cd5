// SPDX-License-Identifier: Apache-2.0
// `moesim memory`, and the refusal of what does not fit. The scene's model: hidden 256, two MoE
// layers of 8 experts of width 512, 4 heads of 64, vocabulary 1000, on 4 ranks.
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/cli/scene.hpp"

namespace moesim::cli_tests {
namespace {

class Memory : public Scene {
 protected:
  static std::vector<std::string> command(const std::string& name,
                                          std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {
        name, "scenario.toml", "--set", "step.kind=decode", "--set", "batch.context_tokens=1000"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  void expect_mistake(const std::vector<std::string>& arguments, const std::string& words) const {
    const Outcome outcome = moesim(arguments);
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(outcome.err, words + "\n");
  }
};

// Experts 2 * 2 * 3*256*512 * 2 B = 3.15 MB; attention 4*256*256 * 2 * 2 B; tables 2 * 1000*256 *
// 2 B; gates and norms (2*2*256 + 2*8*256 + 256) * 2 B; cache 16 * 1000 * 512 * 2 * 2 B;
// activations (16*256 + 16 * (256 + 2 * (2*256 + 3*512))) * 2 B = 147 kB; buffers 2 * 16 * 2 * 1024
// B.
TEST_F(Memory, ShowsTheBill) {
  const Outcome outcome = moesim(command("memory"));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out,
            "scenario.toml: decode of toy on gpu (ep 4, tp 1, pp 1, dp 1), 16 tokens a rank,\n"
            "  context 1000\n\n"
            "rank of stage 0   memory  of the GPU\n"
            "experts          3.15 MB      0.00 %\n"
            "attention        1.05 MB      0.00 %\n"
            "embeddings       1.02 MB      0.00 %\n"
            "gates and norms  10.8 kB      0.00 %\n"
            "KV cache         32.8 MB      0.04 %\n"
            "activations       147 kB      0.00 %\n"
            "communication    65.5 kB      0.00 %\n"
            "total            38.2 MB      0.05 %\n"
            "free             80.0 GB     99.95 %\n\n"
            "fits: yes\n"
            "most tokens a rank at context 1000: 38807\n"
            "most context of 16 sequences a rank: 2441240\n"
            "KV cache: 2.05 kB a token, all layers\n");
}

// 16 slots of 8 experts: 4 a rank instead of 2, by EPLB or by a map in a file.
TEST_F(Memory, CountsTheReplicasOfThePlacement) {
  const auto experts = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = command("memory", {"--json"});
    arguments.insert(arguments.end(), more.begin(), more.end());
    return json_of(arguments)["stages"][0]["parts"]["experts_bytes"].get<double>();
  };
  const double once = experts({});
  EXPECT_EQ(experts({"--set", "placement.kind=eplb", "--set", "placement.slots=16"}), 2 * once);
  write("map.json",
        R"({"physical_to_logical_map": [[0,1,2,3,4,5,6,7,0,1,2,3,4,5,6,7],)"
        R"([0,1,2,3,4,5,6,7,0,1,2,3,4,5,6,7]]})");
  EXPECT_EQ(experts({"--set", "placement.kind=file", "--set", "placement.file=map.json"}),
            2 * once);
}

TEST_F(Memory, SaysWhatIsTooMuch) {
  const Outcome outcome = moesim(command("memory", {"--set", "cluster.gpu.memory=5 MB"}));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out,
              testing::HasSubstr("too much by      33.2 MB    664.20 %\n\nfits: no\n"
                                 "most tokens a rank at context 1000: none fits\n"
                                 "most context of 16 sequences a rank: none fits\n"));
}

TEST_F(Memory, AddsUpInJson) {
  const nlohmann::json json = json_of(command("memory", {"--json"}));
  EXPECT_EQ(json["format"], "moesim-memory");
  EXPECT_EQ(json["fits"], true);
  EXPECT_EQ(json["kv_bytes_per_token"], 2 * 2 * 4 * 64 * 2);
  const nlohmann::json& stage = json["stages"][0];
  EXPECT_EQ(stage["parts"]["experts_bytes"], 2 * 2 * 3 * 256 * 512 * 2);
  EXPECT_EQ(stage["parts"]["KV_cache_bytes"], 16 * 1000 * 512 * 2 * 2);
  double sum = 0;
  for (const auto& [name, size] : stage["parts"].items()) {
    sum += size.get<double>();
  }
  EXPECT_EQ(stage["total_bytes"], sum);
}

TEST_F(Memory, IsOfWholeModels) {
  expect_mistake({"memory", "scenario.toml"},
                 "error: step.kind: moe_layers is no whole model; set prefill, decode or train");
}

TEST_F(Memory, RunAndCheckRefuseWhatDoesNotFitWithTheBill) {
  const std::string words =
      "error: cluster.gpu.memory: 0.01 GB do not hold the 0.0382 GB of a rank of stage 0: "
      "experts 0.00315, attention 0.00105, embeddings 0.00102, gates and norms 1.08e-05, KV cache "
      "0.0328, activations 0.000147, communication 6.55e-05 GB; see moesim memory\n";
  for (const char* name : {"run", "check"}) {
    const Outcome outcome = moesim(command(name, {"--set", "cluster.gpu.memory=10 MB"}));
    EXPECT_EQ(outcome.code, 2);
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(outcome.err, words);
  }
}

TEST_F(Memory, CheckAndRunSayWhatCannotBeRun) {
  expect_mistake(command("run",
                         {"--set",
                          "parallel.ep=2",
                          "--set",
                          "parallel.pp=2",
                          "--set",
                          "faults.gpus=[\"node0/gpu0: 0.5\"]"}),
                 "error: faults: a pipeline on more than one group of parallel.ep ranks is "
                 "simulated without faults");
  expect_mistake(
      command("run", {"--set", "network.tolerance=0.05"}),
      "error: network.tolerance: 0.05, but whole models are simulated exactly; leave it out");
  expect_mistake(command("explain"),
                 "error: step.kind: whole models are for moesim run, check and memory; this needs "
                 "moe_layers");
  expect_mistake(
      command("run", {"--strict"}),
      "error: --strict: attention, dense layers and head of a whole model rest on no fit "
      "of their own");
}

TEST_F(Memory, OutWritesTheReport) {
  const Outcome outcome = moesim(command("memory", {"--out", "result"}));
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(nlohmann::json::parse(read("result/memory.json"))["step_kind"], "decode");
}

// No [routing], [dispatch] or [capacity]: a dense model does not look at them.
TEST_F(Memory, ADenseModelNeedsNoRouting) {
  write(
      "dense.toml",
      "[model]\nname = \"dense\"\nhidden_size = 256\nlayers = 2\nmoe_layers = 0\nnum_experts = 0\n"
      "top_k = 0\nexpert_width = 0\ndense_width = 512\nvocabulary = 1000\n"
      "[model.attention]\nkind = \"gqa\"\nheads = 4\nkv_heads = 4\nhead_dim = 64\n"
      "[parallel]\nep = 4\ntp = 2\n[batch]\ntokens_per_rank = 16\ncontext_tokens = 1000\n"
      "[step]\nkind = \"decode\"\n" +
          cluster_and_calibration());
  const nlohmann::json json = json_of({"memory", "dense.toml", "--json"});
  EXPECT_EQ(json["stages"][0]["parts"]["experts_bytes"], 0);
  EXPECT_EQ(json["stages"][0]["parts"]["dense_layers_bytes"], 2 * 3 * 256 * 512 / 2 * 2);
  const Outcome checked = moesim({"check", "dense.toml"});
  EXPECT_EQ(checked.code, 0) << checked.err;
  write("resolved.toml", checked.out);
  EXPECT_EQ(moesim({"check", "resolved.toml"}).out, checked.out);
}

}  // namespace
}  // namespace moesim::cli_tests
