// SPDX-License-Identifier: Apache-2.0
#include "tests/cli/scene.hpp"

#include <nlohmann/json.hpp>
#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "sim/core/atomic_file.hpp"

namespace moesim::cli_tests {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kModel = R"(seed = 7

[model]
name = "toy"
hidden_size = 256
layers = 2
moe_layers = 2
num_experts = 8
top_k = 2
expert_width = 512
vocabulary = 1000

[model.attention]
kind = "gqa"
heads = 4
kv_heads = 4
head_dim = 64

[parallel]
ep = 4

[batch]
tokens_per_rank = 16
steps = 3

[routing]
trace = "./pack"

)";

constexpr std::string_view kCluster = R"([cluster]
name = "two by two"
nodes = 2
gpus_per_node = 2

[cluster.gpu]
name = "gpu"
memory = "80 GB"
memory_bandwidth = "3 TB/s"
bf16_rate = "900 Tflop/s"
fp8_rate = "1800 Tflop/s"
sms = 132

[cluster.scale_up]
bandwidth = "400 GB/s"
latency = "1 us"

[cluster.nic]
per_node = 2
bandwidth = "50 GB/s"
pcie_bandwidth = "60 GB/s"
latency = "2 us"

[cluster.fabric]
kind = "rail"
nodes_per_leaf = 2
link_bandwidth = "50 GB/s"
hop_latency = "0.3 us"

[calibration]
source = "invented for a test"
evidence = "assumed"
kernel_launch = "3 us"
gemm_efficiency = 0.7
tile_rows = 128
tile_columns = 128
memory_efficiency = 0.85
scale_up_efficiency = 0.75
scale_out_efficiency = 0.85
communication_start = "10 us"
message_gap = "5 ns"
)";

constexpr std::string_view kPackJson = R"({
 "format": "moesim-route-pack",
 "version": 1,
 "model": "toy",
 "experts": 8,
 "top_k": 2,
 "layers": 2,
 "first_moe_layer": 0,
 "slot_order": "weight_descending",
 "phase": "prefill",
 "source": "invented for a test",
 "licence": "none",
 "expert_ids": "logical"
}
)";

constexpr int kSequences = 8;
constexpr int kRows = 64;

/// Ids of [512, 2, 2]: neighbours share an expert, expert 0 is hot, sequences differ.
std::string toy_ids() {
  std::string ids;
  for (int sequence = 0; sequence < kSequences; ++sequence) {
    for (int row = 0; row < kRows; ++row) {
      for (const int layer : {0, 1}) {
        const int first = row % 3 == 0 ? 0 : (row / 2 + sequence * (layer + 1)) % 8;
        const int second = (first + 1 + (row * row + sequence + layer) % 7) % 8;
        ids += static_cast<char>(first);
        ids += static_cast<char>(second);
      }
    }
  }
  return ids;
}

std::string toy_sequences() {
  std::string csv = "sequence,row_start,rows,domain,source\n";
  for (int s = 0; s < kSequences; ++s) {
    csv += std::to_string(s) + "," + std::to_string(s * kRows) + "," + std::to_string(kRows) +
           (s % 2 == 0 ? ",code,a\n" : ",prose,b\n");
  }
  return csv;
}

}  // namespace

Scene::Scene() {
  static std::atomic<int> made{0};
  folder_ = fs::temp_directory_path() /
            ("moesim_cli_" + std::to_string(::getpid()) + "_" + std::to_string(made++));
  for (const char* name :
       {"data/models", "data/clusters", "data/calibration", "data/traces/tiny"}) {
    fs::create_directories(folder_ / name);
  }
  write("scenario.toml", std::string(kModel) + cluster_and_calibration());
  write("pack/pack.json", kPackJson);
  write("pack/sequences.csv", toy_sequences());
  write("pack/topk.npy", npy("|u1", "False", "512, 2, 2", toy_ids()));
}

Scene::~Scene() {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

Outcome Scene::moesim(const std::vector<std::string>& arguments) const {
  return run_program(folder_, arguments);
}

nlohmann::json Scene::json_of(const std::vector<std::string>& arguments) const {
  const Outcome outcome = moesim(arguments);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  nlohmann::json json = nlohmann::json::parse(outcome.out, nullptr, false);
  EXPECT_FALSE(json.is_discarded()) << outcome.out;
  return json;
}

void Scene::write(std::string_view name, std::string_view text) const {
  write_file_atomically(folder_ / name, text);
}

std::string Scene::read(std::string_view name) const {
  return read_file(folder_ / name);
}

void Scene::edit_scenario(std::string_view passage, std::string_view instead) const {
  std::string text = read("scenario.toml");
  const std::size_t at = text.find(passage);
  ASSERT_NE(at, std::string::npos) << passage;
  write("scenario.toml", text.replace(at, passage.size(), instead));
}

std::vector<std::string> Scene::entries() const {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_)) {
    const std::string name = entry.path().filename().string();
    if (name != ".stdout" && name != ".stderr") {
      names.push_back(name);
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string lines_over_80(std::string_view text) {
  std::string wide;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    wide += line.size() > 80 ? std::string(line) + "\n" : "";
    text.remove_prefix(std::min(line.size() + 1, text.size()));
  }
  return wide;
}

std::string cluster_and_calibration() {
  return std::string(kCluster);
}

std::string npy(std::string_view descr,
                std::string_view fortran_order,
                std::string_view shape,
                std::string_view data) {
  std::string header = "{'descr': '" + std::string(descr) +
                       "', 'fortran_order': " + std::string(fortran_order) + ", 'shape': (" +
                       std::string(shape) + "), }";
  header += std::string((64 - (10 + header.size() + 1) % 64) % 64, ' ') + "\n";
  std::string text("\x93NUMPY\x01\x00", 8);
  text += static_cast<char>(header.size() & 0xFFU);
  text += static_cast<char>(header.size() >> 8U);
  return text + header + std::string(data);
}

}  // namespace moesim::cli_tests
