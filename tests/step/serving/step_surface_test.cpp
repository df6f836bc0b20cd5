// SPDX-License-Identifier: Apache-2.0
// Step times from the surface beside steps simulated in full, and the room for the cache.
#include "sim/step/serving/step_surface.hpp"

#include <gtest/gtest.h>

#include "sim/moe/generate/generated_routes.hpp"
#include "sim/step/serving/kv_space.hpp"
#include "sim/step/serving/step_check.hpp"
#include "tests/step/step_fixtures.hpp"

namespace moesim {
namespace {

constexpr int kLayers = 3;
constexpr int kExperts = 16;

/// 4 ranks on 2 nodes; `moe` layers of 16 experts, the others dense.
WholeModel small_model(int tp, int moe, int dense) {
  WholeModel m;
  ModelShape& shape = m.step.model;
  shape.hidden_size = 512;
  shape.layers = moe + dense;
  shape.moe_layers = moe;
  shape.first_moe_layer = dense;
  shape.dense_width = dense > 0 ? 1000 : 0;
  shape.vocabulary = 4000;
  shape.attention = {.kind = AttentionKind::kGqa, .heads = 8, .kv_heads = 2, .head_dim = 64};
  if (moe > 0) {
    shape.num_experts = kExperts;
    shape.top_k = 4;
    shape.expert_width = 256;
  }
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
  m.step.layers = moe;
  m.step.placements.assign(static_cast<std::size_t>(moe),
                           contiguous_placement(kExperts, testing::kRanks));
  m.parallel = {.ep = testing::kRanks, .tp = tp};
  return m;
}

std::unique_ptr<RequestRoutes> uniform_routes() {
  GeneratorSpec spec;
  spec.kind = GeneratorKind::kUniform;
  return generate::open_generated_routes(
      spec, {.num_experts = kExperts, .top_k = 4, .layers = kLayers}, 1);
}

const std::vector<Request>& requests() {
  static const std::vector<Request> kRequests = {{{}, 700, 50}, {{}, 300, 20}, {{}, 90, 200}};
  return kRequests;
}

double error_of(const WholeModel& m, const RequestRoutes* routes, const ServedBatch& batch) {
  StepSurface surface(m, routes, requests(), 0, 1);
  const Seconds predicted = surface.time(loads_of(batch, m.kv_dtype));
  const Seconds simulated = simulate_batch(m, routes, batch).makespan.to_seconds();
  return predicted / simulated - 1;
}

// Rows that go round in TP groups take a time linear in the largest group's tokens, which the
// surface meets at any number; all else is computed. 48 tokens lie half-way between between two
// points.
TEST(StepSurface, IsExactForADenseModel) {
  const WholeModel m = small_model(2, 0, 2);
  const ServedBatch batch = {{{0, 0, 40, StepKind::kPrefill},
                              {1, 310, 1, StepKind::kDecode},
                              {2, 0, 7, StepKind::kPrefill}},
                             {{2, 100, 1, StepKind::kDecode}, {0, 720, 1, StepKind::kDecode}}};
  EXPECT_NEAR(error_of(m, nullptr, batch), 0, 1e-6);
}

// One decode load of the mean context stands for many; the step without layers beside them is the
// closed form itself.
TEST(StepSurface, CountsAllDecodingRequestsByTheirMeanContext) {
  const WholeModel m = small_model(1, 0, 2);
  StepSurface surface(m, nullptr, requests(), 0, 1);
  const auto decode = [](std::int64_t sequences, std::int64_t context) {
    return AttentionLoad{.sequences = sequences, .new_tokens = 1, .context = context};
  };
  const GroupLoads one = {{decode(2, 200)}, {}, {}, {}};
  const GroupLoads two = {{decode(1, 100), decode(1, 300)}, {}, {}, {}};
  EXPECT_NEAR(surface.time(one) / surface.time(two), 1, 1e-12);
}

// Between the points of a MoE model, tokens uneven over groups and of both kinds. Uniform routing;
// the largest error of these was 6 %.
TEST(StepSurface, IsNearTheFullStepOfAMoeModel) {
  const WholeModel m = small_model(1, kLayers, 1);
  const auto routes = uniform_routes();
  std::vector<ServedBatch> batches(4, ServedBatch(4));
  for (int g = 0; g < 4; ++g) {
    const auto at = static_cast<std::size_t>(g);
    for (int i = 0; i < 40 + 10 * g; ++i) {
      batches[0][at].push_back({i % 3, 300 + i, 1, StepKind::kDecode});
    }
    for (int i = 0; i < 5; ++i) {
      batches[1][at].push_back({i % 3, 100 + g, 1, StepKind::kDecode});
    }
    batches[2][at].push_back({g % 3, 0, 90, StepKind::kPrefill});
  }
  batches[1][2].push_back({0, 0, 700, StepKind::kPrefill});
  batches[3][0].push_back({1, 0, 300, StepKind::kPrefill});
  for (const ServedBatch& batch : batches) {
    EXPECT_NEAR(error_of(m, routes.get(), batch), 0, 0.12);
  }
}

TEST(StepSurface, SamplesAPointOnceAndOnlyWhenNeeded) {
  const WholeModel m = small_model(1, kLayers, 0);
  const auto routes = uniform_routes();
  StepSurface surface(m, routes.get(), requests(), 1, 1);
  EXPECT_EQ(surface.points(), 0);
  const GroupLoads even(4, {AttentionLoad{.sequences = 8, .new_tokens = 1, .context = 100}});
  const Seconds first = surface.time(even);  // M = 8, all 4 groups: a point itself
  EXPECT_EQ(surface.points(), 1);
  EXPECT_EQ(surface.time(even), first);
  EXPECT_EQ(surface.points(), 1);
  const GroupLoads more(4, {AttentionLoad{.sequences = 12, .new_tokens = 1, .context = 100}});
  EXPECT_GT(surface.time(more), first);
  EXPECT_EQ(surface.points(), 2);
}

TEST(StepCheck, SaysByHowMuchATimeWasOff) {
  const WholeModel m = small_model(1, kLayers, 0);
  const auto routes = uniform_routes();
  KeptStep kept{.start = {}, .predicted = {}, .batch = ServedBatch(4)};
  kept.batch[1].push_back({0, 0, 100, StepKind::kPrefill});
  kept.batch[3].push_back({1, 300, 1, StepKind::kDecode});
  const Seconds simulated = simulate_batch(m, routes.get(), kept.batch).makespan.to_seconds();
  kept.predicted = 1.25 * simulated;
  const std::vector<StepCheck> checks =
      check_steps(m, routes.get(), std::vector<KeptStep>{kept}, nullptr, {});
  ASSERT_EQ(checks.size(), 1U);
  EXPECT_NEAR(checks[0].error(), 0.25, 1e-12);
  EXPECT_EQ(checks[0].prefill_tokens, 100);
  EXPECT_EQ(checks[0].decode_tokens, 1);
}

// 4 ranks, tp 2, bf16: a token's keys and values are 2 * 1 * 64 * 2 B in each of 4 layers.
TEST(KvSpace, IsWhatTheBillLeaves) {
  const WholeModel whole = small_model(2, kLayers, 1);
  MemoryModel memory{.model = whole.step.model,
                     .parallel = whole.parallel,
                     .kind = StepKind::kPrefill,
                     .batch = {},
                     .memory = {},
                     .dispatcher = DispatcherKind::kPairwise,
                     .slots_per_rank = 4,
                     .capacity = gigabytes(1)};
  RequestSpec spec;
  spec.max_batch_tokens = 1000;
  const KvSpace space = kv_space(memory, spec);
  EXPECT_EQ(space.per_token, bytes(2 * 64 * 2 * 4));
  memory.batch = {.tokens_per_rank = 500, .steps = 1, .context_tokens = 500};
  const MemoryBill bill = memory_bill(memory, 0);
  EXPECT_EQ(space.fixed, bill.total() - bill.of(MemoryPart::kKvCache));
  EXPECT_EQ(space.tokens, static_cast<std::int64_t>((1e9 - space.fixed.value) / (2 * 64 * 2 * 4)));
  memory.capacity = bytes(1000);
  EXPECT_EQ(kv_space(memory, spec).tokens, 0);
}

}  // namespace
}  // namespace moesim
