// SPDX-License-Identifier: Apache-2.0
// The resolved scenario holds every key: a key that is changed shows in it, and it loads back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <ostream>
#include <string>
#include <vector>

#include "sim/scenario/fields.hpp"
#include "sim/scenario/scenario.hpp"
#include "sim/scenario/toml_reader.hpp"

namespace moesim {
namespace {
namespace fs = std::filesystem;

constexpr const char* kScenario = R"([model]
preset = "small"
[cluster]
preset = "pair"
[parallel]
ep = 16
[batch]
tokens_per_rank = 128
[routing]
trace = "shipped"
)";

/// One key with another valid value than it has.
struct Change {
  std::string path;
  std::string value;
  std::vector<Override> before = {};  ///< what must hold for the key to have an effect
  std::vector<Override> with = {};    ///< what the new value needs besides

  friend std::ostream& operator<<(std::ostream& out, const Change& change) {
    return out << change.path << " = " << change.value;
  }
};

const std::vector<Override>& shared() {
  static const std::vector<Override> overrides = {"model.shared_experts=1",
                                                  "model.shared_expert_width=64"};
  return overrides;
}

std::vector<Change> model_changes() {
  const std::vector<Override> mla = {"model.preset=mixed"};
  const std::vector<Override> mla_widths = {"model.attention.kv_lora_rank=64",
                                            "model.attention.rope_dim=16",
                                            "model.attention.nope_dim=32"};
  return {{"seed", "8"},
          {"model.name", "\"a \\\"quoted\\\" name\\n\""},
          {"model.hidden_size", "512"},
          {"model.layers", "4"},
          {"model.moe_layers", "1"},
          {"model.first_moe_layer", "0"},
          {"model.num_experts", "128"},
          {"model.top_k", "7"},
          {"model.shared_experts", "2", shared()},
          {"model.expert_width", "64"},
          {"model.shared_expert_width", "32", shared()},
          {"model.dense_width", "1024"},
          {"model.vocabulary", "2000"},
          {"model.tied_embeddings", "true"},
          {"model.expert_biases", "true"},
          {"model.router_bias", "true"},
          {"model.weight_dtype", "mxfp4"},
          {"model.dispatch_dtype", "fp8"},
          {"model.combine_dtype", "fp32"},
          {"model.published_total_parameters", "671e9"},
          {"model.published_active_parameters", "37"},
          {"model.attention.kind", "mla", {}, mla_widths},
          {"model.attention.heads", "16"},
          {"model.attention.kv_heads", "4"},
          {"model.attention.head_dim", "64"},
          {"model.attention.q_lora_rank", "96", mla},
          {"model.attention.kv_lora_rank", "32", mla},
          {"model.attention.rope_dim", "8", mla},
          {"model.attention.nope_dim", "16", mla},
          {"model.attention.biases", "true"},
          {"model.attention.qk_norm", "true"},
          {"model.attention.sinks", "true"}};
}

std::vector<Change> cluster_changes() {
  const std::vector<Override> spine = {"cluster.fabric.link_bandwidth=50 GB/s",
                                       "cluster.fabric.hop_latency=0.3 us"};
  return {{"cluster.name", "µ"},
          {"cluster.nodes", "4"},
          {"cluster.gpus_per_node", "16"},
          {"cluster.gpu.name", "B200"},
          {"cluster.gpu.memory", "180 GiB"},
          {"cluster.gpu.memory_bandwidth", "7.7 TB/s"},
          {"cluster.gpu.bf16_rate", "2.25 Pflop/s"},
          {"cluster.gpu.fp8_rate", "4500 Tflop/s"},
          {"cluster.gpu.sms", "148"},
          {"cluster.scale_up.nodes_per_domain", "2"},
          {"cluster.scale_up.bandwidth", "900 GB/s"},
          {"cluster.scale_up.latency", "300 ns"},
          {"cluster.nic.per_node", "4"},
          {"cluster.nic.bandwidth", "800 Gbit/s"},
          {"cluster.nic.pcie_bandwidth", "126.03 GB/s"},
          {"cluster.nic.latency", "0 s"},
          {"cluster.fabric.kind", "fat_tree", {}, spine},
          {"cluster.fabric.nodes_per_leaf", "16"},
          {"cluster.fabric.oversubscription", "1.7"},
          {"cluster.fabric.link_bandwidth", "100 GB/s"},
          {"cluster.fabric.hop_latency", "0.35 us"}};
}

std::vector<Change> load_and_policy_changes() {
  return {{"parallel.ep", "8"},
          {"batch.tokens_per_rank", "64"},
          {"batch.steps", "3"},
          {"routing.source", "generated", {}, {"routing.trace=\"\""}},
          {"routing.trace", "./shipped"},
          {"routing.draw", "tokens"},
          {"routing.domains", "[\"code\", \"a, \\\"b\\\"\"]"},
          {"capacity.policy", "drop"},
          {"capacity.factor", "1.25", {"capacity.policy=drop"}},
          {"capacity.scope", "group"},
          {"placement.kind", "round_robin"},
          {"placement.file", "b.json", {"placement.kind=file", "placement.file=a.json"}},
          {"dispatch.dispatcher", "low_latency"},
          {"dispatch.forwarding", "store_and_forward", {"dispatch.dispatcher=hierarchical"}},
          {"dispatch.scale_up", "false", {"dispatch.dispatcher=low_latency"}},
          {"network.engine", "simgrid"},
          {"network.paths", "rail_aligned"},
          {"step.layers", "1"}};
}

std::vector<Change> generator_changes() {
  const std::vector<Override> on = {"routing.source=generated", "routing.trace=\"\""};
  std::vector<Change> changes = {{"kind", "zipf"},
                                 {"fitted_on", "\"a \\\"trace\\\"\""},
                                 {"experts", "64"},
                                 {"top_k", "6"},
                                 {"layers", "3"},
                                 {"zipf_exponent", "0.6"},
                                 {"popularity_sigma", "1.05"},
                                 {"cold_share", "0.1"},
                                 {"cold_drop", "3.3"},
                                 {"domain_sigma", "0.3"},
                                 {"request_sigma", "0.2"},
                                 {"token_sigma", "0.7"},
                                 {"token_correlation", "0.9"},
                                 {"groups", "2"},
                                 {"top_groups", "2"},
                                 {"domains", "11"},
                                 {"request_tokens", "100"},
                                 {"drift_steps", "50"}};
  for (Change& change : changes) {
    change.path = "routing.generated." + change.path;
    change.before = on;
  }
  changes.at(14).before.emplace_back("routing.generated.groups=4");
  return changes;
}

std::vector<Change> calibration_changes() {
  return {{"calibration.source", "\"fit of \\u007F\\t2026\""},
          {"calibration.evidence", "measured"},
          {"calibration.kernel_launch", "2.9 us"},
          {"calibration.gemm_efficiency", "0.68"},
          {"calibration.tile_rows", "64"},
          {"calibration.tile_columns", "256"},
          {"calibration.memory_efficiency", "0.1"},
          {"calibration.scale_up_efficiency", "1"},
          {"calibration.scale_out_efficiency", "0.871"},
          {"calibration.communication_start", "11.7 us"},
          {"calibration.message_gap", "7 ns"}};
}

std::vector<Change> all_changes() {
  std::vector<Change> changes = model_changes();
  for (const auto& more :
       {cluster_changes(), load_and_policy_changes(), generator_changes(), calibration_changes()}) {
    changes.insert(changes.end(), more.begin(), more.end());
  }
  return changes;
}

std::vector<Override> joined(std::vector<Override> first, const std::vector<Override>& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

/// In a folder of its own, which also holds a pack with the name of a shipped one.
class RoundTrip : public testing::TestWithParam<Change> {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "moesim-round-trip-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    before_ = fs::current_path();
    fs::current_path(folder_);
    const fs::path data = fs::path(MOESIM_SOURCE_DIR) / "tests/scenario/data";
    ::setenv("MOESIM_DATA", data.c_str(), 1);
    fs::create_directory("shipped");
    std::ofstream("a.json") << "";
    std::ofstream("b.json") << "";
  }
  void TearDown() override {
    ::unsetenv("MOESIM_DATA");
    fs::current_path(before_);
    fs::remove_all(folder_);
  }

  static std::string resolved(const std::string& text, const std::vector<Override>& overrides) {
    std::ofstream("x.toml") << text;
    return resolved_toml(load_scenario("x.toml", overrides));
  }
  /// The line of a key, "" if it is left out.
  static std::string line_of(const std::string& path, const std::string& text) {
    const ConfigTree tree = parse_toml(text, "resolved");
    const ConfigEntry* entry = tree.find(path);
    return entry == nullptr ? "" : entry->source_line;
  }

 private:
  fs::path folder_;
  fs::path before_;
};

TEST_P(RoundTrip, AChangedKeyShowsAndLoadsBack) {
  const Change& change = GetParam();
  const std::string before = resolved(kScenario, change.before);
  const std::vector<Override> changes = joined(change.with, {change.path + "=" + change.value});
  const std::string after = resolved(kScenario, joined(change.before, changes));
  EXPECT_NE(line_of(change.path, after), line_of(change.path, before));
  EXPECT_EQ(resolved(after, {}), after);
}

INSTANTIATE_TEST_SUITE_P(Scenario,
                         RoundTrip,
                         testing::ValuesIn(all_changes()),
                         [](const auto& param) {
                           std::string name = param.param.path;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

TEST(RoundTrips, EveryKeyIsTried) {
  std::vector<std::string> tried;
  for (const Change& change : all_changes()) {
    tried.push_back(change.path);
  }
  std::vector<std::string> known = known_paths().keys;
  std::erase_if(known, [](const std::string& path) { return path.ends_with(".preset"); });
  EXPECT_THAT(tried, testing::UnorderedElementsAreArray(known));
}

}  // namespace
}  // namespace moesim
