// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include "hardware.hpp"
#include "sim/calibrate/nccl_log.hpp"
#include "sim/core/diagnostics.hpp"

namespace moesim::calibrate {
namespace {
using testing::small_spec;

/// In the form that nccl-tests prints; the numbers are ours.
constexpr const char* kHeader =
    "# Collective test starting: alltoall_perf\n"
    "# nThread 1 nGpus 2 minBytes 1048576 maxBytes 8388608 step: 8(factor) warmup iters: 1\n"
    "# Using devices\n"
    "#  Rank  0 Group  0 Pid  11 on  host device  0 [0000:0f:00] NVIDIA T1 80GB\n"
    "#  Rank  1 Group  0 Pid  11 on  host device  1 [0000:2d:00] NVIDIA T1 80GB\n"
    "#\n"
    "#       size         count      type   redop    root     time   algbw   busbw #wrong\n"
    "#        (B)    (elements)                               (us)  (GB/s)  (GB/s)       \n";
constexpr const char* kRows =
    "      524288         65536     float    none      -1    10.00   52.42   26.21      0\n"
    "     1048576        131072     float    none      -1    15.50   67.65   33.83      0    15.1\n"
    "     8388608       1048576     float    none      -1    52.00  161.32   80.66      0    51.9\n"
    "# Out of bounds values : 0 OK\n";

TEST(NcclLog, GivesTheOutOfPlaceTimesOfAnAllToAll) {
  Hardware hardware(small_spec());
  Reading reading;
  const std::string text = std::string(kHeader) + kRows;
  ASSERT_TRUE(is_nccl_log(text));
  read_nccl_log("a.log", text, hardware, reading);
  ASSERT_EQ(reading.points.size(), 2U);
  const Point& point = reading.points[1];
  EXPECT_EQ(point.kernel, "nccl");
  EXPECT_EQ(point.place, "a.log:11");
  EXPECT_EQ(point.label, "all-to-all, 2 ranks, 8388608 B");
  EXPECT_DOUBLE_EQ(point.measured.value, 52e-6);
  EXPECT_DOUBLE_EQ(point.rows, 4194304);  // half of the buffer stays
  EXPECT_EQ(reading.skipped.at("an all-to-all below 1 MiB: NCCL runs another protocol there"), 1);
}

TEST(NcclLog, OfAnotherCollectiveOrGpuIsPassedOver) {
  Hardware hardware(small_spec());
  Reading reading;
  std::string text = std::string(kHeader) + kRows;
  text.replace(text.find("alltoall_perf"), 13, "all_reduce_perf");
  read_nccl_log("a.log", text, hardware, reading);
  EXPECT_EQ(reading.skipped.at("a collective other than all-to-all"), 3);
  text = std::string(kHeader) + kRows;
  text.replace(text.find("T1"), 2, "T9");
  read_nccl_log("a.log", text, hardware, reading);
  EXPECT_EQ(reading.skipped.at("another GPU"), 3);
  EXPECT_TRUE(reading.points.empty());
}

std::string mistake_of(const std::string& text) {
  Hardware hardware(small_spec());
  Reading reading;
  try {
    read_nccl_log("bad.log", text, hardware, reading);
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

TEST(NcclLog, MistakesNameFileAndLine) {
  EXPECT_EQ(mistake_of(kHeader), "bad.log: error: a header of nccl-tests and no row of times");
  EXPECT_EQ(
      mistake_of(std::string(kHeader) + "1048576 131072 float none -1 15.5\n"),
      "bad.log:9:1: error: 6 cells; expected size, count, type, redop, root, time, algbw, busbw");
  EXPECT_EQ(mistake_of(std::string(kHeader) + "1048576 131072 float none -1 N/A 1 1 0\n"),
            "bad.log:9:1: error: size \"1048576\" and time \"N/A\" are not both numbers above 0");
  EXPECT_EQ(mistake_of(std::string(kHeader) + "1048576 131072 float none -1 nan 1 1 0\n"),
            "bad.log:9:1: error: size \"1048576\" and time \"nan\" are not both numbers above 0");
  EXPECT_EQ(
      mistake_of(kRows),
      "bad.log: error: no \"#  Rank n ... device d\" lines, so the number of ranks is unknown");
}

}  // namespace
}  // namespace moesim::calibrate
