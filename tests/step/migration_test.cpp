// SPDX-License-Identifier: Apache-2.0
#include "sim/step/migration.hpp"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "tests/step/random_steps.hpp"
#include "tests/step/step_fixtures.hpp"

namespace moesim {
namespace {

Placement placement_of(const std::vector<int>& experts, int ranks) {
  std::vector<ExpertId> slots;
  for (const int e : experts) {
    slots.push_back(ExpertId{e});
  }
  return placement_from_slots(std::move(slots), ranks);
}

/// 4 ranks in 2 domains.
Domains two_by_two() {
  return make_domains({{0, 0}, {0, 1}, {1, 0}, {1, 1}});
}

Migration plan(const std::vector<int>& before, const std::vector<int>& after) {
  const std::vector<Placement> from = {placement_of(before, 4)};
  const std::vector<Placement> to = {placement_of(after, 4)};
  return plan_migration(from, to, two_by_two(), bytes(100));
}

TEST(Migration, NothingMovesBetweenEqualPlacements) {
  const Migration m = plan({0, 1, 2, 3}, {0, 1, 2, 3});
  EXPECT_EQ(m.experts_sent, 0);
  EXPECT_EQ(m.total_bytes(), 0);
  EXPECT_EQ(m.scale_out_bytes, 0);
}

TEST(Migration, AnotherOrderOnARankMovesNothing) {
  EXPECT_EQ(plan({0, 1, 2, 3, 4, 5, 6, 7}, {1, 0, 2, 3, 5, 4, 7, 6}).total_bytes(), 0);
}

TEST(Migration, ExchangesGoBothWays) {
  const Migration m = plan({0, 1, 2, 3}, {2, 1, 0, 3});  // ranks 0 and 2, other domains
  EXPECT_EQ(m.bytes.at(RankId{0}, RankId{2}), 100);
  EXPECT_EQ(m.bytes.at(RankId{2}, RankId{0}), 100);
  EXPECT_EQ(m.total_bytes(), 200);
  EXPECT_EQ(m.scale_out_bytes, 200);
  EXPECT_EQ(m.experts_sent, 2);
}

TEST(Migration, AHolderInTheDomainSends) {
  // Expert 0 lies on ranks 0 and 2; rank 3 is to have it and takes it from rank 2 beside it.
  const Migration m = plan({0, 1, 2, 3, 0, 4, 5, 6}, {0, 1, 2, 3, 0, 4, 5, 6});
  EXPECT_EQ(m.total_bytes(), 0);
  const Migration one = plan({0, 1, 2, 3, 0, 4, 5, 6}, {0, 1, 2, 3, 5, 4, 0, 6});
  EXPECT_EQ(one.bytes.at(RankId{2}, RankId{3}), 100);
  EXPECT_EQ(one.bytes.at(RankId{3}, RankId{2}), 100);
  EXPECT_EQ(one.scale_out_bytes, 0);
}

TEST(Migration, HoldersTakeTurns) {
  // Experts 0 and 1 lie on ranks 0 and 1; rank 2 is to have both, one from each.
  const Migration m = plan({0, 1, 0, 1, 2, 3, 4, 5}, {0, 2, 3, 1, 0, 1, 4, 5});
  EXPECT_EQ(m.bytes.at(RankId{0}, RankId{2}), 100);
  EXPECT_EQ(m.bytes.at(RankId{1}, RankId{2}), 100);
}

TEST(Migration, TwoCopiesOnARankAreSentOnce) {
  const Migration m = plan({0, 0, 1, 1, 2, 2, 3, 3}, {3, 3, 1, 1, 2, 2, 0, 0});
  EXPECT_EQ(m.experts_sent, 2);
  EXPECT_EQ(m.total_bytes(), 200);
}

/// The tiny cluster: scale-up 100 GB/s and 2 us, NICs 10 GB/s and 4 us, kernels start in 5 us.
StepModel tiny_model() {
  StepModel model;
  model.cluster = build_cluster(testing::tiny_spec());
  model.constants = testing::plain_constants();
  model.constants.scale_up_efficiency = 1.0;
  model.constants.scale_out_efficiency = 1.0;
  model.constants.communication_start = microseconds(5);
  model.ranks = 4;
  return model;
}

TEST(Migration, APauseIsOneKernelAndTheSlowestLink) {
  // 1 GB out of rank 0's NIC at 10 GB/s: 100 ms; paths: NIC 4 us each way in two parts, switch 3.
  const StepModel model = tiny_model();
  Migration m;
  m.bytes = TrafficMatrix(4);
  EXPECT_EQ(pause_of(model, m), Seconds{});
  m.bytes.at(RankId{0}, RankId{2}) = 500'000'000;
  m.bytes.at(RankId{0}, RankId{3}) = 500'000'000;
  m.bytes.at(RankId{0}, RankId{1}) = 1'000'000'000;
  const PathFinder finder(model.cluster, PathPolicy::kEcmp, 1);
  PathTable paths(finder, 4, PathScope::kAny);
  double latency = 0.0;
  for (const int to : {2, 3}) {
    const PathPart part = paths.find(RankId{0}, RankId{to}).front();
    latency = std::max(latency, paths.paths()[static_cast<std::size_t>(part.path)].latency.value);
  }
  EXPECT_NEAR(pause_of(model, m).value, 0.1 + 5e-6 + latency, 1e-9);
}

TEST(Migration, BesideTheServingItDelaysTheStep) {
  const testing::RandomStep s = testing::random_step(3);
  const int ranks = s.model.ranks;
  Migration m;
  m.bytes = TrafficMatrix(ranks);
  EXPECT_EQ(stall_beside(s.model, m, 4, 0), Seconds{});
  for (int r = 0; r < ranks; ++r) {
    m.bytes.at(RankId{r}, RankId{(r + ranks / 2) % ranks}) = 400'000'000;
  }
  const double alone = pause_of(s.model, m).value;
  const double one = stall_beside(s.model, m, 1, 0).value;
  EXPECT_GT(one, 0.5 * alone);   // a step hides little of it
  EXPECT_LT(one, alone + 1e-3);  // and makes it no slower than one after the other
  StepModel beside = s.model;
  beside.background = m.bytes;
  const StepResult with = simulate_step(beside, 0);
  const StepResult without = simulate_step(s.model, 0);
  EXPECT_GT(with.background_finish, SimTime{});
  EXPECT_GE(with.makespan, without.makespan);
  EXPECT_EQ(without.background_finish, SimTime{});
  EXPECT_DOUBLE_EQ(
      one, (std::max(with.makespan, with.background_finish) - without.makespan).to_seconds().value);
}

TEST(Migration, ExpertsAndKeysTakeTheirBytes) {
  ModelShape model;
  model.hidden_size = 7168;
  model.expert_width = 2048;
  model.layers = 61;
  model.weight_dtype = Dtype::kFp8;
  model.attention.kind = AttentionKind::kMla;
  model.attention.kv_lora_rank = 512;
  model.attention.rope_dim = 64;
  // 3 * 7168 * 2048 = 44,040,192 weights and 2,688 scales of 4 B; (512 + 64) * 2 B * 61 layers.
  EXPECT_DOUBLE_EQ(routed_expert_bytes(model).value, 44'040'192.0 + 10'752.0);
  EXPECT_DOUBLE_EQ(kv_bytes_per_token(model).value, 70'272.0);
  model.expert_biases = true;  // 2 * 2048 + 7168 in bf16
  EXPECT_DOUBLE_EQ(routed_expert_bytes(model).value, 44'040'192.0 + 10'752.0 + 22'528.0);
  model.attention = {};
  model.attention.kv_heads = 8;
  model.attention.head_dim = 128;
  model.layers = 2;
  EXPECT_DOUBLE_EQ(kv_bytes_per_token(model).value, 2.0 * 8 * 128 * 2 * 2);
}

}  // namespace
}  // namespace moesim
