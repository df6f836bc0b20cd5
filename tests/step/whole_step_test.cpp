// SPDX-License-Identifier: Apache-2.0
// A dense model of two layers on 2 nodes of 2 GPUs, whose pairs share attention: 100 tokens of 500
// elements in bf16 are 100,000 B, 1 us over 100 GB/s, after 5 us of start and 2 us of latency.
#include "sim/step/whole_step.hpp"

#include <gtest/gtest.h>

#include <numeric>

#include "sim/step/attention_cost.hpp"
#include "tests/step/step_fixtures.hpp"

namespace moesim {
namespace {

WholeModel dense_model() {
  WholeModel m;
  ModelShape& shape = m.step.model;
  shape.hidden_size = 500;
  shape.layers = 2;
  shape.dense_width = 1000;
  shape.vocabulary = 4000;
  shape.attention = {.kind = AttentionKind::kGqa, .heads = 8, .kv_heads = 2, .head_dim = 50};
  ClusterSpec spec = testing::tiny_spec();
  spec.gpu = {.name = "toy",
              .memory = gigabytes(80),
              .memory_bandwidth = {3e12},
              .bf16_rate = teraflops_per_second(900),
              .fp8_rate = teraflops_per_second(1800),
              .sms = 132};
  m.step.cluster = build_cluster(spec);
  CostConstants& c = m.step.constants;
  c.kernel_launch = microseconds(3);
  c.gemm_efficiency = 0.7;
  c.memory_efficiency = 0.85;
  c.tile_rows = c.tile_columns = 128;
  c.scale_up_efficiency = c.scale_out_efficiency = 1;
  c.communication_start = microseconds(5);
  m.step.ranks = testing::kRanks;
  m.parallel = {.ep = testing::kRanks, .tp = 2};
  m.batch = {.tokens_per_rank = 100, .steps = 1, .context_tokens = 1000};
  return m;
}

SimTime part(const WholeStepResult& result, WholePart which) {
  return result.parts[static_cast<std::size_t>(which)];
}

// Two attentions, two FFNs and the head; rows go round after each of the four blocks and before
// each but the first, seven times 8 us.
TEST(WholeStep, AddsUpByHand) {
  const WholeModel m = dense_model();
  const WholeStepResult result = simulate_whole_step(m, 0);
  const ComputeModel compute{m.step.cluster.gpu, m.step.constants};
  ModelShape share = m.step.model;
  share.attention = attention_share(share.attention, 2);
  const AttentionLoad load = attention_load(m.kind, m.batch, m.parallel, m.kv_dtype);
  const SimTime attention = ticks(attention_time(compute, share, load));
  const SimTime dense = ticks(dense_ffn_time(compute, share, 2, 200));
  EXPECT_EQ(part(result, WholePart::kAttention), attention + attention);
  EXPECT_EQ(part(result, WholePart::kDense), dense + dense);
  EXPECT_EQ(part(result, WholePart::kTensorParallel), ticks(microseconds(7 * 8)));
  EXPECT_EQ(part(result, WholePart::kHead), ticks(head_time(compute, share, 2, 200)));
  EXPECT_EQ(result.flows, 7 * 4);
  EXPECT_EQ(result.makespan, std::accumulate(result.parts.begin(), result.parts.end(), SimTime{}));
}

TEST(WholeStep, WithoutTensorParallelismNothingMoves) {
  WholeModel m = dense_model();
  m.parallel.tp = 1;
  const WholeStepResult result = simulate_whole_step(m, 0);
  EXPECT_EQ(result.flows, 0);
  EXPECT_EQ(part(result, WholePart::kTensorParallel), SimTime{});
  EXPECT_GT(part(result, WholePart::kAttention), SimTime{});
}

// The other pair waits for nobody; the step waits for the pair of the slow GPU, whose compute takes
// twice as long.
TEST(WholeStep, ASlowGpuHoldsItsOwnGroup) {
  WholeModel m = dense_model();
  const WholeStepResult even = simulate_whole_step(m, 0);
  m.step.cluster.gpus[3].speed = 0.5;
  const WholeStepResult slow = simulate_whole_step(m, 0);
  EXPECT_EQ(part(slow, WholePart::kTensorParallel), part(even, WholePart::kTensorParallel));
  EXPECT_NEAR(part(slow, WholePart::kAttention).to_seconds().value,
              2 * part(even, WholePart::kAttention).to_seconds().value,
              1e-11);
}

TEST(WholeReplay, GoesThroughItsStepsAndStopsWhenAsked) {
  const WholeModel m = dense_model();
  int calls = 0;
  WholeControl control;
  control.threads = 1;
  control.on_progress = [&](int done, int total) {
    ++calls;
    EXPECT_EQ(done, calls);
    EXPECT_EQ(total, 3);
  };
  const std::vector<WholeStepResult> steps = replay_whole(m, 3, control);
  ASSERT_EQ(steps.size(), 3U);
  EXPECT_EQ(steps[2].step, 2);
  EXPECT_EQ(calls, 3);
  const std::atomic<bool> stop{true};
  control.cancelled = &stop;
  EXPECT_ANY_THROW((void)replay_whole(m, 3, control));
}

}  // namespace
}  // namespace moesim
