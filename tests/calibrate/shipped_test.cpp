// SPDX-License-Identifier: Apache-2.0
// The shipped calibrations against a refit of the measurements they name; skipped without those.
#include <gtest/gtest.h>
#include <toml++/toml.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "sim/calibrate/calibration_file.hpp"
#include "sim/calibrate/read_files.hpp"
#include "sim/scenario/load_parts.hpp"

namespace moesim::calibrate {
namespace {
namespace fs = std::filesystem;

fs::path published() {
  const char* sets = std::getenv("MOESIM_DATA_SETS");
  return (sets != nullptr ? fs::path(sets) : fs::path(MOESIM_SOURCE_DIR) / "../shared/data") /
         "published";
}

/// Four digits are written and libm differs between machines: constants may move by 1 %.
void expect_refit(const std::string& file,
                  const std::string& cluster,
                  const std::vector<fs::path>& names,
                  const std::vector<std::string>& kernels) {
  if (!fs::exists(published() / names.front())) {
    GTEST_SKIP() << published() << " is not here";
  }
  std::vector<fs::path> files;
  for (const fs::path& name : names) {
    files.push_back(published() / name);
  }
  Hardware hardware(load_cluster(cluster));
  const Reading reading = read_files(files, hardware);
  const auto points = points_by_kernel(reading, kernels);
  const auto fits = calibrate(points, load_assumed_constants());
  const toml::table refit = toml::parse(calibration_toml({"", ""}, fits));
  const toml::table shipped = toml::parse_file(MOESIM_SOURCE_DIR "/scenarios/calibration/" + file);
  for (const KernelFit& fit : fits) {
    const char* family = fit.family == KernelFamily::kExperts ? "experts" : "communication";
    const auto* ours = shipped[family][fit.kernel].as_table();
    ASSERT_NE(ours, nullptr) << fit.kernel;
    const auto* theirs = refit[family][fit.kernel].as_table();
    EXPECT_EQ(theirs->contains("expert_return"), ours->contains("expert_return")) << fit.kernel;
    for (const auto& [key, value] : *theirs) {
      const auto* other = ours->get(key);
      ASSERT_NE(other, nullptr) << fit.kernel << " " << key.str();
      if (const auto text = value.value<std::string>()) {
        const double x = std::stod(*text);
        EXPECT_NEAR(x, std::stod(other->value_or(std::string())), 0.01 * std::abs(x) + 1e-3)
            << fit.kernel << " " << key.str();
      } else if (const auto number = value.value<double>()) {
        EXPECT_NEAR(*number, other->value_or(0.0), 0.01 * std::abs(*number) + 1e-3)
            << fit.kernel << " " << key.str();
      }
    }
  }
}

TEST(ShippedCalibration, OfH100IsARefitOfItsTables) {
  expect_refit("h100.toml",
               "h100-hgx",
               {"aic_wideep_moe_compute_sglang.csv", "aic_deepep_lowlatency.csv"},
               {"deepgemm_masked", "deepgemm_contiguous", "deepep_low_latency"});
}

TEST(ShippedCalibration, LowLatencyOfH800IsARefitOnAFabricWithoutCollisions) {
  expect_refit("h800.toml",
               MOESIM_SOURCE_DIR "/scenarios/validation/h800_one_switch.toml",
               {"deepep_lowlatency_readme.csv"},
               {"deepep_low_latency", "deepep_low_latency_rdma"});
}

TEST(ShippedCalibration, OfGb200IsARefitOfItsTables) {
  expect_refit("gb200.toml",
               "gb200-nvl72",
               {"trtllm_onesided_alltoall_gb200.csv", "aic_trtllm_nvlink_alltoall_gb200.csv"},
               {"nvlink_one_sided"});
}

}  // namespace
}  // namespace moesim::calibrate
