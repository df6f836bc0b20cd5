// SPDX-License-Identifier: Apache-2.0
// Costs by hand. The toy GPU has 4 SMs of 1 Tflop/s each at full efficiency, so one 128 x 128 tile
// with inner = 1000 is 2 * 16384 * 1000 flops = 32.768 us.
#include "sim/moe/expert_cost.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>
#include <vector>

#include "sim/core/diagnostics.hpp"

namespace moesim {
namespace {

constexpr double kMicro = 1e-6;
/// Rounding of a few double operations, and the bytes that unlimited memory still takes (< 1 ps).
constexpr double kTolerance = 2e-12;

ComputeModel toy(double bytes_per_second = 1e18, double launch_us = 0.0) {
  ComputeModel c;
  c.gpu = {.name = "toy",
           .memory = {},
           .memory_bandwidth = {bytes_per_second},
           .bf16_rate = teraflops_per_second(8),
           .fp8_rate = teraflops_per_second(16),
           .sms = 4};
  c.constants.gemm_efficiency = 0.5;
  c.constants.tile_rows = 128;
  c.constants.tile_columns = 128;
  c.constants.memory_efficiency = 0.5;
  c.constants.kernel_launch = microseconds(launch_us);
  return c;
}

double gemm(const ComputeModel& c, const std::vector<std::int64_t>& rows, std::int64_t columns) {
  return grouped_gemm_time(c, rows, columns, 1000, Dtype::kBf16).value;
}

// 1 * 4 tiles on 4 SMs. Smaller tiles would need 8 or more at 2/3 of the rate or less.
TEST(GroupedGemm, TakesOneWaveForOneTileAnSm) {
  EXPECT_NEAR(gemm(toy(), {128}, 512), 32.768 * kMicro, kTolerance);
}

// 5 tiles: 2 waves = 65.536 us. The next best, 64 x 128 at 2/3 of the rate, 10 tiles in 3 waves of
// 24.576 us, is 73.7 us.
TEST(GroupedGemm, PaysAWholeWaveForTheTileThatDoesNotFit) {
  EXPECT_NEAR(gemm(toy(), {128}, 640), 65.536 * kMicro, kTolerance);
}

// Fetching decides (tile_fetch_share 1): 64 x 128 fetches 192 of 256 operand rows and takes 3/4 of
// a full tile, 24.576 us; 16 x 128 fetches 144: 18.432 us. One row fits the smallest tile, 16 rows.
TEST(GroupedGemm, TakesASmallTileForFewRowsAndNothingLess) {
  EXPECT_NEAR(gemm(toy(), {64}, 512), 24.576 * kMicro, kTolerance);
  EXPECT_NEAR(gemm(toy(), {16}, 512), 18.432 * kMicro, kTolerance);
  EXPECT_NEAR(gemm(toy(), {1}, 512), 18.432 * kMicro, kTolerance);
}

// Multiplying decides (0): 64 x 128 takes half a tile, 16 x 128 an eighth, 4.096 us. Half and half:
// (0.125 + 144 / 256) / 2 = 0.34375 tiles, 11.264 us.
TEST(GroupedGemm, OfASmallTileLosesWhatItsFetchingTakes) {
  ComputeModel c = toy();
  c.constants.tile_fetch_share = 0;
  EXPECT_NEAR(gemm(c, {64}, 512), 16.384 * kMicro, kTolerance);
  EXPECT_NEAR(gemm(c, {1}, 512), 4.096 * kMicro, kTolerance);
  c.constants.tile_fetch_share = 0.5;
  EXPECT_NEAR(gemm(c, {1}, 512), 11.264 * kMicro, kTolerance);
}

// 16 x 32: 48 of 256 operand rows, 3/16 of a tile: 4 tiles, one wave of 6.144 us, where one
// 128 x 128 tile on one SM takes 32.768 us.
TEST(GroupedGemm, SplitsColumnsWhenSmsWouldIdle) {
  EXPECT_NEAR(gemm(toy(), {1}, 128), 6.144 * kMicro, kTolerance);
}

// 4 tiles in one wave, 32.768 us; weights 512 * 1000 * 2 B, rows 128 * 1000 * 2 B and results
// 128 * 512 * 2 B are 1,411,072 B, which at 43.063 GB/s of 86.127 take as long. The longer one:
// 32.768 us. Their sum: 65.536. With p = 1 / (1 - 0.5) = 2: the root of 2 times one.
TEST(GroupedGemm, HidesArithmeticAndMemoryBehindEachOther) {
  ComputeModel c = toy(2 * 1'411'072 / 32.768e-6);
  EXPECT_NEAR(gemm(c, {128}, 512), 32.768 * kMicro, kTolerance);
  c.constants.gemm_overlap = 0;
  EXPECT_NEAR(gemm(c, {128}, 512), 65.536 * kMicro, kTolerance);
  c.constants.gemm_overlap = 0.5;
  EXPECT_NEAR(gemm(c, {128}, 512), 32.768 * std::sqrt(2.0) * kMicro, kTolerance);
}

// So unequal that the p-th power of their ratio is no double: the longer one, not an error.
TEST(GroupedGemm, OfAlmostFullOverlapIsTheLongerOne) {
  ComputeModel c = toy();
  c.constants.gemm_overlap = 0.999;
  EXPECT_NEAR(gemm(c, {128}, 512), 32.768 * kMicro, kTolerance);
}

// 512 rows in all, 128 columns. Even: 4 tiles, one wave. Skewed: 4 + 1 + 1 + 1 = 7 tiles, two.
TEST(GroupedGemm, PaysForAHotExpertThroughItsTiles) {
  EXPECT_NEAR(gemm(toy(), {128, 128, 128, 128}, 128), 32.768 * kMicro, kTolerance);
  EXPECT_NEAR(gemm(toy(), {509, 1, 1, 1}, 128), 65.536 * kMicro, kTolerance);
}

// Decode on 1 TB/s at half: two experts with a row each read 2 * 100 * 200 * 2 = 80,000 B of
// weights, rows 2 * 200 * 2 = 800 B, results 2 * 100 * 2 = 400 B; the third expert is not touched.
// 81,200 B / 0.5 TB/s = 162.4 ns, plus 3 us; arithmetic on 4e6 times the rate takes nothing.
TEST(GroupedGemm, IsBoundByWeightBytesInDecode) {
  ComputeModel c = toy(1e12, 3.0);
  c.gpu.bf16_rate = teraflops_per_second(8e6);
  const std::vector<std::int64_t> rows{1, 0, 1};
  EXPECT_NEAR(grouped_gemm_time(c, rows, 100, 200, Dtype::kBf16).value, 3.1624e-6, kTolerance);
}

TEST(GroupedGemm, RunsFp8AtItsRateAndMxfp4AtThatOfBf16) {
  const std::vector<std::int64_t> rows{128};
  const double bf16 = gemm(toy(), rows, 512);
  EXPECT_NEAR(grouped_gemm_time(toy(), rows, 512, 1000, Dtype::kFp8).value, bf16 / 2, kTolerance);
  EXPECT_NEAR(grouped_gemm_time(toy(), rows, 512, 1000, Dtype::kMxfp4).value, bf16, kTolerance);
}

TEST(GroupedGemm, RefusesADtypeTheGpuCannotRun) {
  ComputeModel c = toy();
  c.gpu.fp8_rate = {};
  const std::vector<std::int64_t> rows{1};
  EXPECT_THROW(static_cast<void>(grouped_gemm_time(c, rows, 1, 1, Dtype::kFp32)), std::logic_error);
  try {
    static_cast<void>(grouped_gemm_time(c, rows, 1, 1, Dtype::kFp8));
    FAIL();
  } catch (const UserError& error) {
    EXPECT_STREQ(error.what(),
                 "error: fp8 weights need a positive cluster.gpu.fp8_rate of GPU \"toy\"");
  }
}

ModelShape toy_model() {
  ModelShape m;
  m.hidden_size = 1024;
  m.num_experts = 512;
  m.top_k = 2;
  m.expert_width = 256;
  m.shared_experts = 2;
  m.shared_expert_width = 128;
  return m;
}

// gate+up: 4 tiles of 2 * 16384 * 1024 flops, one wave, 33.554432 us. down: 8 tiles of
// 2 * 16384 * 256, two waves, 16.777216 us. Four kernels of 1 us: gather, two GEMMs, SwiGLU.
TEST(Experts, AddGatherGemmsAndActivation) {
  const std::vector<std::int64_t> slots{128, 0};
  EXPECT_NEAR(expert_time(toy(1e18, 1.0), toy_model(), slots).value,
              (33.554432 + 16.777216 + 4.0) * kMicro,
              kTolerance);
}

// Up alone: 256 columns. 128 x 64: 4 tiles at 2/3 of the rate, one wave of 16.777216 / (2/3) us.
TEST(Experts, WithoutAGateHaveHalfTheFirstGemm) {
  ModelShape model = toy_model();
  model.expert_gated = false;
  const std::vector<std::int64_t> slots{128, 0};
  EXPECT_NEAR(expert_time(toy(1e18, 1.0), model, slots).value,
              (25.165824 + 16.777216 + 4.0) * kMicro,
              kTolerance);
}

// Rows that the dispatch left in the experts' order: the same without the gather's 1 us and bytes.
TEST(Experts, InOrderNeedNoGather) {
  ComputeModel c = toy(1e18, 1.0);
  c.constants.expert_gather = false;
  const std::vector<std::int64_t> slots{128, 0};
  EXPECT_NEAR(
      expert_time(c, toy_model(), slots).value, (33.554432 + 16.777216 + 3.0) * kMicro, kTolerance);
}

// 128 rows of 2048 B read and written: 524,288 B / 0.5 TB/s = 1.048576 us, plus 1 us; in fp8 with 8
// scales of 4 B 1056 B read and, for bf16 weights, 2048 B written.
TEST(Experts, BringingRowsIntoOrderMovesThemOnce) {
  ComputeModel c = toy(1e12, 1.0);
  ModelShape model = toy_model();
  EXPECT_NEAR(expert_gather_time(c, model, 128).value, 2.048576 * kMicro, kTolerance);
  EXPECT_NEAR(dispatch_order_time(c, model, 128).value, 2.048576 * kMicro, kTolerance);
  model.dispatch_dtype = Dtype::kFp8;
  EXPECT_NEAR(expert_gather_time(c, model, 128).value, 1.794624 * kMicro, kTolerance);
  EXPECT_NEAR(dispatch_order_time(c, model, 128).value, 1.540672 * kMicro, kTolerance);
  c.constants.expert_gather = false;
  EXPECT_EQ(expert_gather_time(c, model, 128).value, 0.0);
}

// Two shared experts of 128 are one FFN of 256; no gather.
TEST(Experts, SharedOnesAreOneWideGroup) {
  EXPECT_NEAR(shared_expert_time(toy(1e18, 1.0), toy_model(), 128).value,
              (33.554432 + 16.777216 + 3.0) * kMicro,
              kTolerance);
}

// Four times the tokens on the hot rank: 16 and 32 tiles, four and eight waves, all full.
TEST(Experts, AHotRankPaysInProportionOnceTilesAreFull) {
  const std::vector<std::int64_t> mean{128};
  const std::vector<std::int64_t> hot{512};
  EXPECT_NEAR(expert_time(toy(), toy_model(), hot).value,
              4 * expert_time(toy(), toy_model(), mean).value,
              1e-11);
}

// 4 tiles of 128 x 128 with inner = 1024, one wave, and two kernels of 1 us.
TEST(Gate, IsAGemmAndAChoice) {
  EXPECT_NEAR(
      gate_time(toy(1e18, 1.0), toy_model(), 128).value, (33.554432 + 2.0) * kMicro, kTolerance);
}

// 10 rows in, 4 out, 2048 B each: 28,672 B / 0.5 TB/s = 57.344 ns, plus 1 us.
TEST(CombineReduce, MovesEveryCopyOnce) {
  EXPECT_NEAR(
      combine_reduce_time(toy(1e12, 1.0), toy_model(), 10, 4).value, 1.057344 * kMicro, kTolerance);
}

TEST(Costs, AreZeroWithoutTokens) {
  const std::vector<std::int64_t> none{0, 0};
  const ComputeModel c = toy(1e12, 3.0);
  EXPECT_EQ(gemm(c, none, 512), 0.0);
  EXPECT_EQ(expert_time(c, toy_model(), none).value, 0.0);
  EXPECT_EQ(shared_expert_time(c, toy_model(), 0).value, 0.0);
  EXPECT_EQ(gate_time(c, toy_model(), 0).value, 0.0);
  EXPECT_EQ(combine_reduce_time(c, toy_model(), 0, 0).value, 0.0);
  EXPECT_EQ(expert_gather_time(c, toy_model(), 0).value, 0.0);
  EXPECT_EQ(dispatch_order_time(c, toy_model(), 0).value, 0.0);
}

// INV-4: all rates twice, the launch half.
TEST(Costs, Inv4HalveWhenEveryRateDoubles) {
  const ComputeModel slow = toy(1e12, 4.0);
  ComputeModel fast = toy(2e12, 2.0);
  fast.gpu.bf16_rate = slow.gpu.bf16_rate * 2;
  const std::vector<std::int64_t> slots{300, 1, 0, 77};
  EXPECT_NEAR(expert_time(fast, toy_model(), slots).value,
              expert_time(slow, toy_model(), slots).value / 2,
              1e-15);
}

TEST(Evidence, HasAWordForEachGrade) {
  EXPECT_EQ(to_text(Evidence::kMeasured), "measured");
  EXPECT_EQ(to_text(Evidence::kInterpolated), "interpolated");
  EXPECT_EQ(to_text(Evidence::kExtrapolated), "extrapolated");
  EXPECT_EQ(to_text(Evidence::kAssumed), "assumed");
}

}  // namespace
}  // namespace moesim
