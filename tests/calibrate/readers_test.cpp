// SPDX-License-Identifier: Apache-2.0
// The forms of published tables, with rows of our own.
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include "hardware.hpp"
#include "sim/calibrate/read_files.hpp"
#include "sim/core/diagnostics.hpp"

namespace moesim::calibrate {
namespace {
using testing::small_spec;

constexpr const char* kExpertHeader =
    "system,device,sglang_version,phase,moe_dtype,hidden,inter,topk,num_experts,tp,ep,distribution,"
    "num_tokens,time_us\n";

Reading read(const std::string& text) {
  Hardware hardware(small_spec());
  Reading reading;
  read_published_csv("t.csv", text, hardware, reading);
  return reading;
}

std::string mistake_of(const std::string& text) {
  try {
    static_cast<void>(read(text));
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

TEST(PublishedTables, ExpertRowsCarryTheLoadOfTheTimedRank) {
  const Reading reading = read(std::string(kExpertHeader) +
                               "t,NVIDIA T1,1,generation,fp8_block,512,256,4,16,1,2,uniform,8,30\n"
                               "t,NVIDIA T1,1,context,fp8_block,512,256,4,16,1,2,uniform,8,90\n"
                               "t,NVIDIA T10,1,context,fp8_block,512,256,4,16,1,2,uniform,8,90\n");
  ASSERT_EQ(reading.points.size(), 2U);
  EXPECT_EQ(reading.skipped.at("another GPU"), 1);
  const Point& point = reading.points[0];
  EXPECT_EQ(point.kernel, "deepgemm_masked");
  EXPECT_EQ(point.place, "t.csv:2");
  EXPECT_EQ(point.slots, 8);
  EXPECT_EQ(point.rows, 16);  // 8 tokens x 4 over 2 ranks
  EXPECT_DOUBLE_EQ(point.measured.value, 30e-6);
  EXPECT_EQ(reading.points[1].kernel, "deepgemm_contiguous");
  EXPECT_TRUE(reading.points[1].is_host_issued);
}

TEST(PublishedTables, ACollectiveSendsItsShareToEachRank) {
  const Reading reading = read(
      "system,device,nccl_version,collective,dtype,num_gpus,size_bytes,time_us_median\n"
      "t,T1,2,alltoall,half,8,8388608,100\nt,T1,2,all_reduce,half,8,8388608,100\n"
      "t,T1,2,alltoall,half,8,512,9\n");
  ASSERT_EQ(reading.points.size(), 1U);
  EXPECT_EQ(reading.points[0].kernel, "nccl");
  EXPECT_EQ(reading.points[0].rows, 7 * 1048576);
}

TEST(PublishedTables, DispatchAndCombineAreTwoPointsOfARow) {
  const Reading reading = read(
      "device,sglang_version,ep_size,hidden,topk,num_experts,tokens_per_rank,dispatch_us,combine_"
      "us,"
      "combine_bw_gb_s\nT1,1,8,512,4,16,32,20,30,1\n");
  ASSERT_EQ(reading.points.size(), 2U);
  EXPECT_EQ(reading.points[0].kernel, "deepep_low_latency");
  EXPECT_FALSE(reading.points[0].is_combine);
  EXPECT_TRUE(reading.points[1].is_combine);
  EXPECT_DOUBLE_EQ(reading.points[1].measured.value, 30e-6);
}

TEST(PublishedTables, MistakesNameFileAndLine) {
  const std::string row = "t,T1,1,context,fp8_block,512,256,4,16,1,";
  EXPECT_EQ(mistake_of("a,b\n1,2\n"), "error: t.csv: no known table has these columns: a, b");
  EXPECT_EQ(mistake_of(kExpertHeader + row + "3,uniform,8,90\n"),
            "t.csv:2:1: error: ep: 3 does not divide num_experts = 16");
  EXPECT_EQ(mistake_of(kExpertHeader + row + "2,uniform,8,-1\n"),
            "t.csv:2:1: error: time_us: \"-1\" is not a number above 0");
  EXPECT_EQ(mistake_of(kExpertHeader + row + "2,uniform,2.5,9\n"),
            "t.csv:2:1: error: num_tokens: \"2.5\" is not a whole number from 1 to 2^31 - 1");
  EXPECT_EQ(mistake_of(std::string(kExpertHeader) +
                       "t,T1,1,generation,fp8_block,512,256,4,16,1,2,zipf,8,90\n"),
            "t.csv:2:1: error: distribution: \"zipf\" is not balanced, uniform or "
            "power_law_<exponent>");
  EXPECT_EQ(mistake_of(std::string(kExpertHeader) +
                       "t,T1,1,generation,int4,512,256,4,16,1,2,uniform,8,90\n"),
            "t.csv:2:1: error: moe_dtype: \"int4\" is not bfloat16, fp8 or fp8_block");
}

TEST(PublishedTables, WithoutAPointOrAKernelSaySo) {
  const auto mistake = [](const Reading& reading, const std::vector<std::string>& only) {
    try {
      static_cast<void>(points_by_kernel(reading, only));
    } catch (const UserError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(mistake({}, {}), "error: no measurement of this hardware in the files");
  const Reading reading = read(std::string(kExpertHeader) +
                               "t,T1,1,generation,fp8_block,512,256,4,16,1,2,uniform,8,30\n");
  EXPECT_EQ(mistake(reading, {"nccl"}),
            "error: --kernel nccl: not in the files; found: deepgemm_masked");
}

}  // namespace
}  // namespace moesim::calibrate
