// SPDX-License-Identifier: Apache-2.0
// The kit on a real GPU: the ceilings come out between physics and absurdity, resuming adds
// nothing.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "gpu_ref/device/devices.hpp"
#include "gpu_ref/measure/measurement.hpp"

namespace moesim::measure {
namespace {

using nlohmann::json;

class OnDevice : public testing::Test {
 protected:
  void SetUp() override {
    if (gpu_ref::attached_gpus() == 0) {
      GTEST_SKIP() << "no GPU on this machine";
    }
  }
  ~OnDevice() override { std::filesystem::remove(file_); }

  std::map<std::string, json> by_case() const {
    std::map<std::string, json> records;
    std::ifstream in(file_);
    for (std::string line; std::getline(in, line);) {
      const json record = json::parse(line);
      records[record["case"]] = record;
    }
    return records;
  }

  std::string file_ = (std::filesystem::temp_directory_path() /
                       ("moesim_device_" + std::to_string(::getpid()) + ".jsonl"))
                          .string();
};

TEST_F(OnDevice, CeilingsAreMeasuredAndPlausible) {
  MeasureOptions options;
  options.file = file_;
  options.budget_s = 60;
  options.only = {"device", "copy", "gemm", "launch"};
  const RunnerResult first = measure(options, {.version = "test"});
  EXPECT_GT(first.measured, 8);
  const auto records = by_case();
  const json& copy = records.at("copy/1073741824/cold");
  const double rate = copy["work"]["bytes"].get<double>() / copy["time"]["median_s"].get<double>();
  EXPECT_GT(rate, 1e11);  // slower than any data-centre GPU since 2012
  EXPECT_LT(rate, 2e13);  // faster than any announced
  const json& gemm = records.at("gemm/bf16/8192x8192x8192/cold");
  const double flops = gemm["work"]["flops"].get<double>() / gemm["time"]["median_s"].get<double>();
  EXPECT_GT(flops, 1e13);
  EXPECT_LT(flops, 1e16);
  const double launch = records.at("launch/stream/none")["time"]["median_s"];
  EXPECT_GT(launch, 1e-7);
  EXPECT_LT(launch, 1e-4);
  const RunnerResult again = measure(options, {.version = "test"});
  EXPECT_EQ(again.measured, 0);
  EXPECT_EQ(again.already, first.measured + first.skipped);
}

}  // namespace
}  // namespace moesim::measure
