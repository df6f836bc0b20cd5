// SPDX-License-Identifier: Apache-2.0
// The resolved scenario holds every key: a key that is changed shows in it, and it loads back.
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "sim/scenario/fields.hpp"
#include "sim/scenario/scenario.hpp"
#include "sim/scenario/toml_reader.hpp"
#include "tests/scenario/key_changes.hpp"
#include "tests/scenario/round_trip_changes.hpp"

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
          {"model.moe_interval", "2", {"model.layers=4"}},
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
          {"model.expert_gated", "false"},
          {"model.dense_gated", "false"},
          {"model.weight_dtype", "mxfp4"},
          {"model.dense_dtype", "fp8"},
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
          {"model.attention.sinks", "true"},
          {"model.attention.window", "128"},
          {"model.attention.full_every", "6", {}, {"model.attention.window=64"}}};
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

std::vector<Change> fabric_changes() {
  const std::vector<Override> rail = {"cluster.fabric.kind=rail",
                                      "cluster.fabric.link_bandwidth=50 GB/s",
                                      "cluster.fabric.hop_latency=0.3 us"};
  std::vector<Override> blocks = rail;
  blocks.emplace_back("cluster.fabric.tiers=3");
  std::vector<Override> torus = rail;
  torus.front() = "cluster.fabric.kind=torus";
  torus.emplace_back("cluster.fabric.torus_x=2");
  const std::vector<Override> pcie = {"cluster.scale_up.kind=pcie"};
  std::vector<Override> sockets = pcie;
  sockets.emplace_back("cluster.scale_up.sockets=2");
  sockets.emplace_back("cluster.scale_up.socket_bandwidth=20 GB/s");
  return {{"cluster.graphml", "pair.graphml"},
          {"cluster.scale_up.kind", "none"},
          {"cluster.scale_up.gpus_per_switch", "4", pcie},
          {"cluster.scale_up.sockets", "2", pcie, {"cluster.scale_up.socket_bandwidth=20 GB/s"}},
          {"cluster.scale_up.socket_bandwidth", "31.2 GB/s", sockets},
          {"cluster.nic.ports", "2"},
          {"cluster.nic.speeds", "[\"node0/*: 25 GB/s\"]"},
          {"cluster.fabric.tiers", "3", rail},
          {"cluster.fabric.pods_per_block", "4", blocks},
          {"cluster.fabric.core_oversubscription", "2.5", blocks},
          {"cluster.fabric.torus_x", "1", torus, {"cluster.fabric.torus_y=2"}},
          {"cluster.fabric.torus_y", "2", torus, {"cluster.nodes=4"}},
          {"cluster.fabric.torus_z", "3", torus, {"cluster.nodes=6"}}};
}

std::vector<Change> fault_changes() {
  const std::vector<Override> random = {"faults.random_nics=0.5"};
  return {{"faults.links", "[\"node0/gpu0 -> *: 0.5\"]"},
          {"faults.nics", "[\"node0/nic0: down\"]"},
          {"faults.switches", "[\"domain1/switch: 0.25\"]"},
          {"faults.gpus", "[\"node[0-1]/gpu7: 0.9\"]"},
          {"faults.nodes", "[\"node1\"]", {"parallel.ep=8"}},
          {"faults.background", "[\"node0/nic0 <-> *: 1 GB/s\"]"},
          {"faults.random_links", "0.5"},
          {"faults.random_nics", "0.25"},
          {"faults.random_gpus", "1"},
          {"faults.random_remaining", "0.75", random},
          {"faults.seed", "9", random}};
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
          {"capacity.order", "weight", {"capacity.policy=drop"}},
          {"capacity.micro_batches", "4"},
          {"capacity.tries", "2", {"capacity.policy=spill"}},
          {"capacity.sender_cap", "64", {"capacity.policy=drop"}},
          {"capacity.receiver_cap", "32", {"capacity.policy=drop"}},
          {"capacity.sender_bytes", "64 MB", {"capacity.policy=drop"}},
          {"capacity.receiver_bytes", "1.5 GiB", {"capacity.policy=drop"}},
          {"placement.kind", "round_robin"},
          {"placement.file", "b.json", {"placement.kind=file", "placement.file=a.json"}},
          {"placement.replica_choice", "nearest"},
          {"placement.replica_limit", "1.5", {"placement.replica_choice=capacity_limited"}},
          {"placement.slots", "128", {"placement.kind=eplb"}},
          {"placement.groups", "4", {"placement.kind=eplb"}},
          {"placement.train_first", "16", {"placement.kind=greedy"}},
          {"placement.train_steps", "4", {"placement.kind=eplb"}},
          {"dispatch.dispatcher", "low_latency"},
          {"dispatch.forwarding", "store_and_forward", {"dispatch.dispatcher=hierarchical"}},
          {"dispatch.sms", "20"},
          {"dispatch.scale_up", "false", {"dispatch.dispatcher=low_latency"}},
          {"dispatch.chunk_tokens", "16", {"dispatch.dispatcher=hybrid_ep"}},
          {"dispatch.channels", "4", {"dispatch.dispatcher=nccl"}},
          {"dispatch.pxn", "false", {"dispatch.dispatcher=nccl"}},
          {"dispatch.notify", "true"},
          {"network.engine", "simgrid"},
          {"network.tolerance", "0.01"},
          {"network.chunk", "64 KiB", {"network.engine=message"}},
          {"network.paths", "rail_aligned"},
          {"network.path_choice", "adaptive"},
          {"network.max_paths", "16", {"network.path_choice=spray"}},
          {"step.layers", "1"}};
}

std::vector<Change> step_changes() {
  const std::vector<Override> decode = {"step.kind=decode", "batch.context_tokens=128"};
  const std::vector<Override> train = {"step.kind=train", "batch.context_tokens=128"};
  const std::vector<Override> stages = {"step.kind=train",
                                        "batch.context_tokens=128",
                                        "model.layers=4",
                                        "parallel.ep=8",
                                        "parallel.pp=2",
                                        "batch.micro_batches=4"};
  std::vector<Override> pairs = stages;
  pairs.emplace_back("step.overlap=dualpipe");
  return {{"step.kind", "decode", {}, {"batch.context_tokens=128"}},
          {"parallel.tp", "2", decode},
          {"parallel.pp", "2", decode, {"parallel.ep=8"}},
          {"parallel.dp", "2", train, {"parallel.ep=8"}},
          {"parallel.virtual_stages", "2", stages},
          {"step.overlap", "two_batch", decode},
          {"step.samples", "4", train},
          {"step.overlap_gradients", "false", train},
          {"step.schedule", "dualpipe", pairs},
          {"step.host_layer", "3 ms", decode},
          {"batch.context_tokens", "4096", decode},
          {"batch.micro_batches", "8", train},
          {"memory.kv_dtype", "fp8", decode},
          {"memory.reserved", "2.5 GB", decode},
          {"memory.gradient_dtype", "bf16", train},
          {"memory.zero_stage", "3", train},
          {"memory.recompute", "full", train}};
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
          {"calibration.message_gap", "7 ns"},
          {"calibration.expert_kernel", "mine"},
          {"calibration.communication_kernel", "mine"},
          {"calibration.gemm_overlap", "0.5"},
          {"calibration.tile_fetch_share", "0.4"},
          {"calibration.expert_gather", "false"},
          {"calibration.expert_return", "true"},
          {"calibration.expert_floor", "300 us"},
          {"calibration.combine_extra_start", "2 us"},
          {"calibration.message_overhead", "64 B"},
          {"calibration.sm_copy_rate", "15 GB/s"},
          {"calibration.combine_sm_copy_rate", "16 GB/s"},
          {"calibration.combine_sums", "true"},
          {"calibration.attention.prefill_efficiency", "0.5"},
          {"calibration.attention.backward_efficiency", "0.4"},
          {"calibration.attention.decode_efficiency", "0.6"},
          {"calibration.attention.decode_memory_efficiency", "0.9"}};
}

std::vector<Change> dense_changes() {
  std::vector<Change> changes;
  for (const std::string table : {"calibration.dense_bf16.", "calibration.dense_fp8."}) {
    for (const Change& one : std::initializer_list<Change>{{"kernel_launch", "4 us"},
                                                           {"gemm_efficiency", "0.8"},
                                                           {"memory_efficiency", "0.9"},
                                                           {"gemm_overlap", "0.7"},
                                                           {"tile_fetch_share", "0.5"},
                                                           {"tile_rows", "64"},
                                                           {"tile_columns", "256"}}) {
      changes.push_back({table + one.path, one.value});
    }
  }
  return changes;
}

/// A fit's record, key by key; nothing depends on anything.
std::vector<Change> fit_changes() {
  std::vector<Change> changes;
  for (const std::string table : {"calibration.expert_fit.", "calibration.communication_fit."}) {
    const bool experts = table.find("expert") != std::string::npos;
    changes.push_back({table + "kernel", "k"});
    changes.push_back({table + "source", "someone"});
    for (const std::string set : {"fitted_", "left_out_"}) {
      changes.push_back({table + set + "points", "12"});
      changes.push_back({table + set + "median", "0.02"});
      changes.push_back({table + set + "p90", "0.1"});
      changes.push_back({table + set + "bias", "-0.01"});
    }
    changes.push_back({table + "spread_p10", "0.9"});
    changes.push_back({table + "spread_p90", "1.25"});
    const std::vector<std::string> inputs =
        experts ? std::vector<std::string>{"rows", "slots", "width", "hidden"}
                : std::vector<std::string>{"bytes", "ranks", "domains", "hidden"};
    for (const std::string& input : inputs) {
      changes.push_back({table + input + "_min", "1"});
      changes.push_back({table + input + "_max", "4096.5"});
    }
    if (experts) {
      changes.push_back({table + "weight_dtypes", "[\"fp8\", \"bf16\"]"});
    }
  }
  return changes;
}

std::vector<Change> all_changes() {
  std::vector<Change> changes = model_changes();
  for (const auto& more : {cluster_changes(),
                           fabric_changes(),
                           fault_changes(),
                           load_and_policy_changes(),
                           step_changes(),
                           request_changes(),
                           generator_changes(),
                           learned_changes(),
                           calibration_changes(),
                           dense_changes(),
                           price_changes(),
                           fit_changes()}) {
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
    fs::copy_file(data / "clusters/pair.graphml", "pair.graphml");
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
  const bool serving = change.path.starts_with("requests.");
  const std::string text = serving ? kServing : kScenario;
  const std::string before = resolved(text, change.before);
  const std::vector<Override> changes = joined(change.with, {change.path + "=" + change.value});
  const std::string after = resolved(text, joined(change.before, changes));
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
