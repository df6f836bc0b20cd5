// SPDX-License-Identifier: Apache-2.0
// `moesim calibrate` as a user runs it: a raw file made with known constants gives them back, and a
// scenario then runs with them.
#include <fmt/core.h>
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "sim/moe/expert_cost.hpp"
#include "tests/cli/scene.hpp"

namespace moesim::cli_tests {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr double kNvlink = 400e9;

ComputeModel truth() {
  ComputeModel model;
  model.gpu = {.name = "T1",
               .memory = gigabytes(80),
               .memory_bandwidth = gigabytes_per_second(3000),
               .bf16_rate = teraflops_per_second(900),
               .fp8_rate = teraflops_per_second(1800),
               .sms = 132};
  model.constants.kernel_launch = microseconds(4);
  model.constants.gemm_efficiency = 0.62;
  model.constants.memory_efficiency = 0.81;
  model.constants.gemm_overlap = 0.7;
  model.constants.tile_fetch_share = 0.4;
  model.constants.tile_rows = 128;
  model.constants.tile_columns = 128;
  return model;
}

std::string head(const std::string& kind, const std::string& name, double time) {
  return fmt::format(
      R"({{"format":"moesim-raw","schema":1,"kind":"{}","case":"{}/{}","l2":"cold","time":)"
      R"({{"median_s":{}}},"device":{{"name":"NVIDIA T1","driver":"9"}},"moesim":)"
      R"({{"version":"0.1"}},"input":)",
      kind,
      kind,
      name,
      time);
}

/// Grouped GEMMs of two widths on 2 to 32 experts, even and skewed, 1 to 4,096 rows each; 2 % of
/// noise up and down in turn.
std::string grouped_gemms() {
  std::string lines;
  const ComputeModel model = truth();
  int i = 0;
  for (const int width : {1408, 2048}) {
    for (const std::size_t experts : {2U, 8U, 32U}) {
      for (std::int64_t rows = 1; rows <= 4096; rows *= 4) {
        std::vector<std::int64_t> counts(experts, rows);
        counts[1] = i % 3 == 0 ? 0 : rows;
        const double noise = ++i % 2 == 0 ? 1.02 : 0.98;
        const double time =
            grouped_gemm_time(model, counts, 2 * width, 4096, Dtype::kBf16).value * noise;
        lines += head("grouped_gemm", std::to_string(i), time) +
                 fmt::format(R"({{"model":"toy{}","projection":"gate_up","pass":"forward",)"
                             R"("dtype":"bf16","columns":{},"inner":4096,"counts":{}}}}})"
                             "\n",
                             width,
                             2 * width,
                             json(counts).dump());
      }
    }
  }
  return lines;
}

/// 15 us of start, 1 us of path, bytes over 70 % of the port; by hand, not by the flow engine.
std::string all_to_alls() {
  std::string lines;
  for (const int ranks : {2, 4, 8}) {
    for (std::int64_t bytes = 1 << 20; bytes <= 1 << 28; bytes *= 4) {
      const double out = static_cast<double>(bytes) * (ranks - 1) / ranks;
      const double time = 15e-6 + 1e-6 + out / (0.7 * kNvlink);
      lines += head("collective", fmt::format("{}/{}", ranks, bytes), time) +
               fmt::format(R"({{"op":"all_to_all","ranks":{},"bytes":{}}}}})"
                           "\n",
                           ranks,
                           bytes);
    }
  }
  return lines;
}

class CalibrateCommand : public Scene {
 protected:
  CalibrateCommand() {
    write("data/calibration/assumed.toml",
          "source = \"invented\"\nevidence = \"assumed\"\nkernel_launch = \"3 us\"\n"
          "gemm_efficiency = 0.7\ntile_rows = 128\ntile_columns = 128\nmemory_efficiency = 0.85\n"
          "scale_up_efficiency = 0.75\nscale_out_efficiency = 0.85\n"
          "communication_start = \"10 us\"\nmessage_gap = \"5 ns\"\n");
    write("t1.toml",
          "name = \"one node\"\nnodes = 1\ngpus_per_node = 8\n\n[gpu]\nname = \"T1\"\n"
          "memory = \"80 GB\"\nmemory_bandwidth = \"3 TB/s\"\nbf16_rate = \"900 Tflop/s\"\n"
          "fp8_rate = \"1800 Tflop/s\"\nsms = 132\n\n[scale_up]\nbandwidth = \"400 GB/s\"\n"
          "latency = \"1 us\"\n\n[nic]\nper_node = 8\nbandwidth = \"50 GB/s\"\n"
          "pcie_bandwidth = \"60 GB/s\"\nlatency = \"2 us\"\n\n[fabric]\nkind = \"rail\"\n"
          "nodes_per_leaf = 1\nlink_bandwidth = \"50 GB/s\"\nhop_latency = \"0.3 us\"\n");
  }
  void expect_mistake(const std::vector<std::string>& arguments, const std::string& words) const {
    const std::vector<std::string> before = entries();
    const Outcome outcome = moesim(arguments);
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(outcome.err, words + "\n");
    EXPECT_EQ(entries(), before);
  }
};

TEST_F(CalibrateCommand, FindsTheConstantsThatARawFileWasMadeWith) {
  write("raw.jsonl", grouped_gemms() + all_to_alls());
  const json found =
      json_of({"calibrate", "raw.jsonl", "--cluster", "t1.toml", "-o", "t1-cal.toml", "--json"});
  ASSERT_EQ(found["kernels"].size(), 2U);
  const json& experts = found["kernels"][0];
  EXPECT_EQ(experts["kernel"], "cublas_bf16");
  const json& c = experts["constants_si"];
  EXPECT_NEAR(c["kernel_launch"].get<double>(), 4e-6, 0.3e-6);
  EXPECT_NEAR(c["gemm_efficiency"].get<double>(), 0.62, 0.02);
  EXPECT_NEAR(c["memory_efficiency"].get<double>(), 0.81, 0.03);
  EXPECT_NEAR(c["gemm_overlap"].get<double>(), 0.7, 0.1);
  EXPECT_EQ(experts["fitted"]["points"], 42);
  EXPECT_LT(experts["fitted"]["p90_ratio"].get<double>(), 0.04);
  EXPECT_LT(experts["left_out"]["p90_ratio"].get<double>(), 0.06);
  EXPECT_GT(experts["fitted"]["median_ratio"].get<double>(), 0.005);  // the noise is there
  EXPECT_THAT(experts["folds"].dump(), HasSubstr("toy1408 gate_up"));
  const json& nccl = found["kernels"][1]["constants_si"];
  EXPECT_NEAR(nccl["communication_start"].get<double>(), 15e-6, 0.2e-6);
  EXPECT_NEAR(nccl["scale_up_efficiency"].get<double>(), 0.7, 0.005);
  const std::string file = read("t1-cal.toml");
  EXPECT_THAT(file, HasSubstr("experts = \"cublas_bf16\"\nexperts_bf16 = \"cublas_bf16\"\n"));
  EXPECT_THAT(file, HasSubstr("weight_dtypes = [\"bf16\"]\n"));
}

/// The file of the GPU's name is taken without being asked for, and grades the experts.
TEST_F(CalibrateCommand, MakesAFileThatScenariosOfTheGpuUseByDefault) {
  write("raw.jsonl", grouped_gemms());
  const Outcome made =
      moesim({"calibrate", "raw.jsonl", "--cluster", "t1.toml", "-o", "data/calibration/t1.toml"});
  ASSERT_EQ(made.code, 0) << made.err;
  const std::string whole = read("scenario.toml");
  const std::size_t begin = whole.find("[calibration]");
  const std::size_t end = whole.find("\n\n", begin);
  std::string without = whole.substr(0, begin);
  without += end == std::string::npos ? "" : whole.substr(end + 2);
  without.replace(without.find("name = \"gpu\""), 12, "name = \"T1\"");
  write("scenario.toml", without);
  const std::vector<std::string> fits = {"--set",
                                         "model.hidden_size=4096",
                                         "--set",
                                         "model.expert_width=2048",
                                         "--set",
                                         "model.weight_dtype="};
  const auto experts_of = [&](const std::string& dtype) {
    std::vector<std::string> arguments = {"run", "scenario.toml", "--json"};
    arguments.insert(arguments.end(), fits.begin(), fits.end());
    arguments.back() += dtype;
    return json_of(arguments)["evidence"]["phases"]["experts"];
  };
  const json bf16 = experts_of("bf16");
  EXPECT_EQ(bf16["kernel"], "cublas_bf16") << bf16;
  EXPECT_EQ(bf16["grade"], "interpolated") << bf16;
  const json fp8 = experts_of("fp8");
  EXPECT_EQ(fp8["grade"], "extrapolated") << fp8;
  EXPECT_THAT(fp8.dump(),
              HasSubstr("experts: fp8 weights; \\\"cublas_bf16\\\" was fitted to bf16"));
}

TEST_F(CalibrateCommand, MistakesAreNamedAndLeaveNothing) {
  write("raw.jsonl", grouped_gemms());
  expect_mistake(
      {"calibrate", "raw.jsonl", "--cluster", "t1.toml", "--kernel", "deepgemm", "-o", "c.toml"},
      "error: --kernel deepgemm: not in the files; found: cublas_bf16");
  write("other.jsonl",
        "{\"format\":\"moesim-raw\",\"schema\":1,\"kind\":\"copy\",\"case\":\"copy\"}\n");
  expect_mistake({"calibrate", "other.jsonl", "--cluster", "t1.toml"},
                 "error: no measurement of this hardware in the files");
  write("newer.jsonl", "{\"format\":\"moesim-raw\",\"schema\":2}\n");
  expect_mistake({"calibrate", "newer.jsonl", "--cluster", "t1.toml"},
                 "newer.jsonl:1:1: error: schema: 2; this moesim reads 1");
  write("table.csv", "a,b\n1,2\n");
  expect_mistake({"calibrate", "table.csv", "--cluster", "t1.toml"},
                 "error: table.csv: no known table has these columns: a, b");
}

}  // namespace
}  // namespace moesim::cli_tests
