// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/op_costs.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace moesim::gpu_ref {
namespace {

const LayerShape kShape = {.hidden = 1024, .expert_width = 512, .num_experts = 64, .top_k = 6};

OpCost cost(double byte_count, double flop_count) {
  return {bytes(byte_count), flops(flop_count)};
}

/// 100 tokens. Gate: x 204,800 B, weights 131,072 B, logits 25,600 B; 2 * 100 * 1024 * 64 FLOPs.
TEST(OpCosts, OfTheGateByHand) {
  EXPECT_EQ(gate_cost(kShape, 100), cost(361472, 13107200));
  // logits, scores and choice 25,600 B each; experts and weights 2,400 B each; normaliser 400 B.
  EXPECT_EQ(topk_cost(kShape, 100), cost(82000, 0));
  // 600 assignments, 1 chunk: 3 * 2,400 + 4 * 256 + 3 * 256 B.
  EXPECT_EQ(place_cost(kShape, 100), cost(8992, 0));
}

TEST(OpCosts, OfMovedRowsByHand) {
  EXPECT_EQ(spread_cost(kShape, 100, 580, 2048), cost(680.0 * 2048 + 2400, 0));
  EXPECT_EQ(gather_cost(580, 2048), cost(580 * 4100.0, 0));
  EXPECT_EQ(quantise_rows_cost(10, 1024), cost(10 * (2048 + 1024 + 32), 0));
}

/// Three experts, one without rows: its weights are not read.
TEST(OpCosts, OfGroupedGemmsByHand) {
  const std::vector<std::int64_t> rows = {10, 0, 30};
  EXPECT_EQ(grouped_gemm_cost(rows, 1024, 512),
            cost(2.0 * (40 * 1536 + 2 * 1024 * 512), 2.0 * 40 * 1024 * 512));
  EXPECT_EQ(fp8_gemm_cost(rows, 1024, 512),
            cost(40 * (512 + 16 + 2048) + 2 * (1024 * 512 + 4 * 32), 2.0 * 40 * 1024 * 512));
}

TEST(OpCosts, OfActivationAndCombineByHand) {
  EXPECT_EQ(swiglu_cost(40, 512), cost(40 * 512 * 6, 0));
  EXPECT_EQ(swiglu_backward_cost(40, 512), cost(40 * 512 * 10, 0));
  EXPECT_EQ(combine_cost(kShape, 100, 580, false), cost(680.0 * 2048 + 4800, 2.0 * 580 * 1024));
  EXPECT_EQ(combine_cost(kShape, 100, 580, true), cost(780.0 * 2048 + 4800, 2.0 * 580 * 1024));
  EXPECT_EQ(combine_backward_cost(kShape, 100, 580), cost(1260.0 * 2048 + 7200, 3.0 * 580 * 1024));
}

TEST(OpCosts, TheLargerOfMemoryAndComputeIsTheRoof) {
  const BytesPerSecond memory = gigabytes_per_second(4000);
  const FlopsPerSecond compute = teraflops_per_second(800);
  EXPECT_DOUBLE_EQ(roofline_time(cost(8e9, 1e12), memory, compute).value, 2e-3);
  EXPECT_DOUBLE_EQ(roofline_time(cost(8e9, 8e12), memory, compute).value, 1e-2);
}

}  // namespace
}  // namespace moesim::gpu_ref
