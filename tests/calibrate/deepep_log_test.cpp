// SPDX-License-Identifier: Apache-2.0
// Logs in the forms that DeepEP's tests print; the numbers are ours.
#include "sim/calibrate/deepep_log.hpp"

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include "hardware.hpp"
#include "sim/core/diagnostics.hpp"

namespace moesim::calibrate {
namespace {
using testing::small_spec;

const std::string kConfig = "[config] num_tokens=4096, hidden=7168, num_topk=8\n";
const std::string kTuning = "[tuning] SMs 24, NVL chunk 4: 180.00 GB/s (NVL) \n";
const std::string kDispatch =
    "[tuning] Best dispatch (FP8): SMs 24, NVL chunk 8, 153.00 GB/s (NVL)";
const std::string kCombine = "[tuning] Best combine: SMs 24, NVL chunk 4: 158.00 GB/s (NVL)";

Reading read(const std::string& text, const std::string& file = "my_ep8.log") {
  Hardware hardware(small_spec());
  Reading reading;
  EXPECT_TRUE(is_deepep_log(text));
  read_deepep_log(file, text, hardware, reading);
  return reading;
}

std::string mistake_of(const std::string& text, const std::string& file = "my_ep8.log") {
  try {
    static_cast<void>(read(text, file));
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

/// Top-8 of 256 over 8 ranks meets 5.295 of them: 4096 x 5.295 rows of 7168 x (1 + 4/128) B are
/// 160.3 MB, at 153 GB/s 1.048 ms; the combine 4096 x 5.295 x 14336 B at 158 GB/s, 1.968 ms.
TEST(DeepEpLog, OfOlderReleasesHasItsTimesFromTheBandwidth) {
  const Reading reading = read(kConfig + kTuning + kDispatch + "\n" + kCombine + "\n");
  ASSERT_EQ(reading.points.size(), 2U);
  EXPECT_EQ(reading.points[0].kernel, "deepep_normal");
  EXPECT_EQ(reading.points[0].label, "EP8 dispatch 4096 tokens");
  EXPECT_EQ(reading.points[0].place, "my_ep8.log:3");
  EXPECT_EQ(reading.points[0].sms, 24);
  EXPECT_NEAR(reading.points[0].measured.value, 1.048e-3, 0.005e-3);
  EXPECT_TRUE(reading.points[1].is_combine);
  EXPECT_NEAR(reading.points[1].measured.value, 1.968e-3, 0.01e-3);
}

TEST(DeepEpLog, OfNewerReleasesStatesItsTimes) {
  const Reading reading = read(
      kConfig + kDispatch + ", t: 900.50 us\n" +
      "[tuning] Best combine: SMs 20, NVL chunk 4, RDMA chunk 8, transmit: 1700.00 us, notify: "
      "30.00 us, BW: 60.00 GB/s (RDMA), 158.00 GB/s (NVL)\n");
  ASSERT_EQ(reading.points.size(), 2U);
  EXPECT_DOUBLE_EQ(reading.points[0].measured.value, 900.5e-6);
  EXPECT_DOUBLE_EQ(reading.points[1].measured.value, 1730e-6);
  EXPECT_EQ(reading.points[1].sms, 20);
}

TEST(DeepEpLog, RoutingLimitedToFewerGroupsThanNodesIsPassedOver) {
  const Reading reading =
      read("[config] num_tokens=4096, hidden=7168, num_topk_groups=1, num_topk=8\n" + kDispatch +
               ", t: 900.50 us\n",
           "ep16.log");
  EXPECT_TRUE(reading.points.empty());
  EXPECT_EQ(reading.skipped.at("DeepEP routing limited to fewer groups than nodes"), 1);
}

/// 1,024 rows of 7,408 B in 75 us: 101.15 GB/s; of 14,336 B in 110 us: 133.46 GB/s.
std::string rank_line(int rank, const std::string& dispatch_us) {
  return "[rank " + std::to_string(rank) +
         "] Dispatch bandwidth: 101.15 GB/s, avg_t=" + dispatch_us +
         " us | Combine bandwidth: 133.46 GB/s, avg_t=110.00 us\n";
}

TEST(DeepEpLog, OfLowLatencyIsTheMedianOfTheRanks) {
  const std::string text =
      rank_line(0, "74.00") + rank_line(1, "75.00") + rank_line(2, "75.40") + rank_line(3, "76.00");
  const Reading reading = read(text, "ll.log");
  ASSERT_EQ(reading.points.size(), 2U);
  EXPECT_EQ(reading.points[0].kernel, "deepep_low_latency");
  EXPECT_EQ(reading.points[0].ep, 4);
  EXPECT_DOUBLE_EQ(reading.points[0].measured.value, 75.2e-6);
  EXPECT_DOUBLE_EQ(reading.points[1].measured.value, 110e-6);
  EXPECT_EQ(read(text, "ll_rdma.log").points[0].kernel, "deepep_low_latency_rdma");
  EXPECT_FALSE(read(text, "ll_rdma.log").points[0].uses_scale_up);
}

TEST(DeepEpLog, MistakesNameFileAndLine) {
  EXPECT_EQ(mistake_of(kDispatch + "\n"), "my_ep8.log:1:1: error: no \"[config]\" line before it");
  EXPECT_EQ(mistake_of(kConfig + kDispatch + "\n", "deepep.log"),
            "deepep.log:1:1: error: the log does not tell the ranks: let the file's name say "
            "ep<ranks>, as in ep16.log");
  EXPECT_EQ(mistake_of(kConfig + kDispatch + "\n", "ep7.log"),
            "ep7.log:1:1: error: 7 ranks, top-8: expected ranks that divide 256 experts, 64 at "
            "most");
  EXPECT_EQ(mistake_of("[config] num_tokens=x, hidden=7168, num_topk=8\n" + kDispatch + "\n"),
            "my_ep8.log:1:1: error: no number above 0 behind \"num_tokens=\"");
  EXPECT_EQ(mistake_of("[config] num_tokens=1.5, hidden=7168, num_topk=8\n" + kDispatch + "\n"),
            "my_ep8.log:1:1: error: no whole number from 1 to 10^6 behind \"num_tokens=\"");
  EXPECT_EQ(mistake_of(kConfig + "[tuning] Best dispatch (FP8): SMs 24, NVL chunk 8\n"),
            "my_ep8.log:2:1: error: neither a time nor a bandwidth in GB/s (NVL)");
  EXPECT_EQ(mistake_of("[rank 0] Dispatch bandwidth: 101.15 GB/s, avg_t=75.00 us\n"),
            "my_ep8.log:1:1: error: a dispatch without \"| Combine bandwidth: \"");
  EXPECT_EQ(mistake_of(rank_line(0, "40.00")),
            "my_ep8.log:1:1: error: bandwidth x time is 4.05 MB; expected 7.59 MB, those of the "
            "test's defaults: 128 tokens, hidden 7168, top-8");
  std::string five;
  for (int rank = 0; rank < 5; ++rank) {
    five += rank_line(rank, "75.00");
  }
  EXPECT_EQ(mistake_of(five),
            "my_ep8.log:1:1: error: 5 ranks: expected ranks that divide 288 experts, 64 at most");
}

}  // namespace
}  // namespace moesim::calibrate
