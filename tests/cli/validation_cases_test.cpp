// SPDX-License-Identifier: Apache-2.0
// The shipped cases (scenarios/validation) through the program: how many there are, how far off
// each tier is, and that the known hard ones are bound by the link that binds them in reality.
// Bounds are what the model reaches today, rounded up; docs/validation.md has the figures and the
// targets.
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include "tests/cli/program.hpp"

namespace moesim::cli_tests {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

/// What a tier must keep: all of its cases, and errors (ratios) no larger than these.
struct Bound {
  int cases;
  double median;
  double p90;
  double bias;  ///< largest absolute value
};

class ShippedCases : public testing::Test {
 protected:
  ShippedCases() {
    std::string pattern = (fs::temp_directory_path() / "moesim-cases-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    fs::create_directory_symlink(fs::path(MOESIM_SOURCE_DIR) / "scenarios", folder_ / "data");
  }
  ~ShippedCases() override { fs::remove_all(folder_); }

  [[nodiscard]] json json_of(const std::vector<std::string>& arguments) const {
    const Outcome outcome = run_program(folder_, arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return outcome.code == 0 ? json::parse(outcome.out) : json();
  }

  /// Runs a file of cases and compares its tiers with the bounds.
  void expect_tiers(const std::string& file, const std::map<std::string, Bound>& bounds) const {
    const json report = json_of({"validate", "data/validation/" + file, "--json", "--quiet"});
    ASSERT_EQ(report["tiers"].size(), bounds.size()) << file;
    for (const json& tier : report["tiers"]) {
      const auto bound = bounds.find(tier["tier"].get<std::string>());
      ASSERT_NE(bound, bounds.end()) << tier;
      EXPECT_EQ(tier["cases"], bound->second.cases) << tier;
      EXPECT_LE(tier["median_absolute_error_ratio"], bound->second.median) << tier;
      EXPECT_LE(tier["p90_absolute_error_ratio"], bound->second.p90) << tier;
      EXPECT_LE(std::abs(tier["bias_ratio"].get<double>()), bound->second.bias) << tier;
    }
  }

  /// The link that is busy longest in a dispatch and combine of a shipped scenario.
  [[nodiscard]] std::string hottest_link(const std::string& scenario,
                                         const std::vector<std::string>& overrides) const {
    std::vector<std::string> words = {"run", "data/validation/" + scenario, "--json"};
    for (const std::string& one : overrides) {
      words.insert(words.end(), {"--set", one});
    }
    return json_of(words)["steps"][0]["layers"][0]["hot"]["links"][0]["name"].get<std::string>();
  }

  [[nodiscard]] const fs::path& folder() const { return folder_; }

 private:
  fs::path folder_;
};

TEST_F(ShippedCases, LargeTransfers) {
  expect_tiers("large.csv",
               {{"fitted large", {39, 0.05, 0.20, 0.02}},
                {"unseen large", {15, 0.04, 0.10, 0.02}},
                {"unseen large, held out", {8, 0.03, 0.12, 0.02}}});
}

TEST_F(ShippedCases, LowLatencyKernels) {
  expect_tiers("low_latency.csv",
               {{"fitted low-latency", {20, 0.04, 0.15, 0.03}},
                {"unseen low-latency", {8, 0.05, 0.11, 0.03}},
                {"unseen low-latency, held out", {10, 0.065, 0.115, 0.05}}});
}

// 128 KiB on 8 GPUs: NCCL's low-latency protocols take 9.9 us where the model has 13.9.
TEST_F(ShippedCases, NcclBelow4MB) {
  expect_tiers(
      "nccl.csv",
      {{"fitted 64 KB-4 MB", {1, 0.08, 0.08, 0.08}}, {"unseen 64 KB-4 MB", {4, 0.02, 0.43, 0.02}}});
}

TEST_F(ShippedCases, Experts) {
  expect_tiers("experts.csv",
               {{"fitted experts", {4, 0.07, 0.21, 0.07}},
                {"unseen experts, held out", {7, 0.135, 0.32, 0.135}}});
}

// H800: 200 GB/s of NVLink carry each token's copies on from the rank that got them over its NIC.
TEST_F(ShippedCases, Ep16OnH800IsBoundByForwardingOverNvlinkOnH100ByTheNic) {
  const std::vector<std::string> ep16 = {"cluster.nodes=2", "parallel.ep=16"};
  std::vector<std::string> h100 = ep16;
  h100.emplace_back("cluster.preset=h100-hgx");
  EXPECT_THAT(hottest_link("deepep_normal_h800.toml", ep16),
              AllOf(HasSubstr("/gpu"), HasSubstr("/switch"), Not(HasSubstr("nic"))));
  EXPECT_THAT(hottest_link("deepep_normal_h800.toml", h100), HasSubstr("/nic"));
}

// Four of eight nodes at most: 3.984 copies a token, of which 7/8 cross a NIC, instead of 5.3.
TEST_F(ShippedCases, Ep64WithGroupLimitedGatingIsBoundByTheNic) {
  EXPECT_THAT(hottest_link("deepep_normal_h800.toml",
                           {"cluster.nodes=8",
                            "parallel.ep=64",
                            "batch.tokens_per_rank=1024",
                            "routing.generated.groups=8",
                            "routing.generated.top_groups=4"}),
              HasSubstr("/nic"));
}

// 64 GPUs of one rack touch no NIC; half of the bytes of 128 GPUs cross to the other rack.
TEST_F(ShippedCases, AllToAllOfNvl72IsBoundByTheNicOnceASecondRackTakesPart) {
  const auto racks = [this](int ranks) {
    const std::string n = std::to_string(ranks);
    return hottest_link("nccl_gb200.toml",
                        {"cluster.nodes=" + std::to_string(ranks / 4),
                         "cluster.scale_up.nodes_per_domain=16",
                         "cluster.fabric.kind=single_switch",
                         "parallel.ep=" + n,
                         "model.num_experts=" + n,
                         "model.top_k=" + n});
  };
  EXPECT_THAT(racks(64), AllOf(HasSubstr("/gpu"), Not(HasSubstr("nic"))));
  EXPECT_THAT(racks(128), HasSubstr("/nic"));
}

// One row of serving.csv, all of requests under way at a time: TPOT within 10 % of vLLM's on 8
// GPUs.
TEST_F(ShippedCases, ServingOfGptOss) {
  std::ifstream file(fs::path(MOESIM_SOURCE_DIR) / "scenarios/validation/serving.csv");
  std::string header;
  std::getline(file, header);
  std::string row;
  while (std::getline(file, row) && row.find("gpt-oss-120b H100 TP8 1024+1024 at 4,") != 0) {
  }
  ASSERT_FALSE(row.empty());
  row.replace(row.find("gpt_oss_vllm.toml"), 0, "data/validation/");
  std::ofstream(folder() / "one.csv") << header << "\n" << row << "\n";
  const json report = json_of({"validate", "one.csv", "--json", "--quiet"});
  EXPECT_EQ(report["tiers"][0]["tier"], "unseen end_to_end serving");
  EXPECT_LE(report["tiers"][0]["median_absolute_error_ratio"], 0.10);
}

class ManyRanks : public ShippedCases {};

TEST_F(ManyRanks, HybridEpAndDeepEpV2) {
  expect_tiers("hybrid_ep.csv",
               {{"unseen large, hybrid_ep", {24, 0.045, 0.16, 0.03}},
                {"unseen large, deepep v2", {4, 0.10, 0.13, 0.10}}});
}

// 13 s of one core.
TEST_F(ManyRanks, LowLatencyOn256Ranks) {
  if (std::getenv("MOESIM_LONG_TESTS") == nullptr) {
    GTEST_SKIP() << "takes 13 s; set MOESIM_LONG_TESTS to run it";
  }
  expect_tiers("low_latency_wide.csv", {{"unseen low-latency", {4, 0.03, 0.07, 0.03}}});
}

}  // namespace
}  // namespace moesim::cli_tests
