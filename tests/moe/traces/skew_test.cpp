// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/traces/skew.hpp"

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <numeric>

#include "tests/moe/traces/fixture.hpp"

namespace moesim::traces {
namespace {

constexpr double kRounding = 1e-12;  // a few operations on numbers near 1

TEST(Spread, MedianOfAnEvenNumberIsTheMeanOfTheMiddleTwo) {
  const Spread odd = spread_of({3, 1, 2});
  EXPECT_EQ(odd.median, 2);
  EXPECT_EQ(odd.min, 1);
  EXPECT_EQ(odd.max, 3);
  EXPECT_EQ(spread_of({4, 1, 2, 3}).median, 2.5);
  EXPECT_THROW((void)spread_of({}), std::logic_error);
}

TEST(LoadSkew, WorkedByHand) {
  // Mean 4; deviations 6 -2 -2 -2 ... of ten loads 10 2 2 2 2 2 2 2 2 14: squares 36 + 8*4 + 100 =
  // 168, /10 = 16.8. The two largest hold 24 of 40. No load is below 0.4.
  const std::vector<std::int64_t> load = {10, 2, 2, 2, 2, 2, 2, 2, 2, 14};
  const LoadSkew skew = load_skew(load);
  EXPECT_NEAR(skew.max_over_mean, 3.5, kRounding);
  EXPECT_NEAR(skew.variation, std::sqrt(16.8) / 4, kRounding);
  EXPECT_NEAR(skew.top_share, 0.6, kRounding);
  EXPECT_EQ(skew.cold, 0);
  // Loads 1 and e^2-like 4, 4, 1: logs 0 and ln 4, deviation ln 4 / 2.
  const std::vector<std::int64_t> logs = {1, 4, 4, 1};
  EXPECT_NEAR(load_skew(logs).std_ln, std::log(4.0) / 2, kRounding);
}

TEST(LoadSkew, ExpertsNeverChosenCountAsColdAndAsHalfAToken) {
  const std::vector<std::int64_t> load = {0, 2};
  const LoadSkew skew = load_skew(load);
  EXPECT_EQ(skew.cold, 1);
  EXPECT_NEAR(skew.std_ln, std::log(4.0) / 2, kRounding);
  EXPECT_NEAR(skew.top_share, 1.0, kRounding);  // of fewer than five experts the top one
}

TEST(LoadSkew, EmptyLoadsAreOurBug) {
  const std::vector<std::int64_t> none = {0, 0};
  EXPECT_THROW((void)load_skew(none), std::logic_error);
}

TEST(TotalVariation, WorkedByHand) {
  const std::vector<std::int64_t> a = {1, 1, 0, 0};
  const std::vector<std::int64_t> b = {0, 0, 5, 5};
  const std::vector<std::int64_t> c = {5, 0, 5, 0};
  EXPECT_NEAR(total_variation(a, a), 0.0, kRounding);
  EXPECT_NEAR(total_variation(a, b), 1.0, kRounding);
  EXPECT_NEAR(total_variation(a, c), 0.5, kRounding);
}

TEST(RankImbalance, BlocksOfConsecutiveExperts) {
  const std::vector<std::int64_t> load = {1, 2, 3, 6};
  EXPECT_NEAR(rank_imbalance(load, 2), 9.0 / 6.0 - 1, kRounding);
  EXPECT_NEAR(rank_imbalance(load, 1), 0.0, kRounding);
  EXPECT_THROW((void)rank_imbalance(load, 3), std::logic_error);
}

RC_GTEST_PROP(SkewProperty, INV5RelabellingExpertsChangesNoLoadSkew, ()) {
  auto load =
      *rc::gen::nonEmpty(rc::gen::container<std::vector<std::int64_t>>(rc::gen::inRange(0, 100)));
  RC_PRE(std::accumulate(load.begin(), load.end(), std::int64_t{0}) > 0);
  const LoadSkew before = load_skew(load);
  std::reverse(load.begin(), load.end());
  const LoadSkew after = load_skew(load);
  RC_ASSERT(before.max_over_mean == after.max_over_mean);
  RC_ASSERT(std::abs(before.variation - after.variation) < 1e-9);
  RC_ASSERT(before.top_share == after.top_share);
  RC_ASSERT(before.cold == after.cold);
}

/// One layer, 4 experts, top_k 2: "a" tokens visit {0,1} {0,2}, "b" tokens {2,3} {2,3} {1,3}.
RoutePack hand_pack() {
  RoutePack pack = small_pack("", false);
  pack.header.experts = 4;
  pack.header.layers = 1;
  pack.topk = make_array<std::uint8_t>(NumberType::kU1, {5, 1, 2}, {0, 1, 0, 2, 2, 3, 3, 2, 1, 3});
  pack.sequences = {{0, 2, "a", ""}, {2, 3, "b", ""}};
  return pack;
}

TEST(MeasureSkew, WorkedByHandOnFiveTokens) {
  const SkewReport report = measure_skew(hand_pack());
  // Load 2 2 3 3, mean 2.5.
  EXPECT_NEAR(report.max_over_mean.median, 1.2, kRounding);
  ASSERT_TRUE(report.tokens.has_value());
  // Pairs within sequences: {0,1}-{0,2} share 1, {2,3}-{2,3} 2, {2,3}-{1,3} 1: 4 of 6.
  EXPECT_NEAR(report.tokens->consecutive_overlap->median, 4.0 / 6.0, kRounding);
  // 2 * (0.04 + 0.04 + 0.09 + 0.09).
  EXPECT_NEAR(report.tokens->independent_overlap.median, 0.52, kRounding);
  // a: 2 1 1 0 of 4; b: 0 1 2 3 of 6: |1/2| + |1/4-1/6| + |1/4-1/3| + |1/2| = 7/6, half of it.
  EXPECT_NEAR(report.tokens->domain_distance->median, 7.0 / 12.0, kRounding);
  // a: 2 / 1; b: 3 / 1.5.
  EXPECT_NEAR(report.tokens->hottest_layer_of_domain->min, 2.0, kRounding);
  EXPECT_NEAR(report.tokens->hottest_layer_of_domain->max, 2.0, kRounding);
  EXPECT_FALSE(report.tokens->one_sequence.has_value());  // no sequence of 64 tokens
  EXPECT_FALSE(report.steps.has_value());
}

TEST(MeasureSkew, OneDomainHasNoDistances) {
  RoutePack pack = hand_pack();
  pack.sequences[1].domain = "a";
  const SkewReport report = measure_skew(pack);
  EXPECT_FALSE(report.tokens->domain_distance.has_value());
  EXPECT_FALSE(report.tokens->hottest_layer_of_domain.has_value());
}

TEST(MeasureSkew, LongSequencesAreMeasuredAlone) {
  RoutePack pack = hand_pack();
  std::vector<std::uint8_t> ids;
  for (int i = 0; i < 64; ++i) {
    ids.insert(ids.end(), {0, 1});
  }
  pack.topk = make_array(NumberType::kU1, {64, 1, 2}, ids);
  pack.sequences = {{0, 64, "a", ""}};
  EXPECT_NEAR(measure_skew(pack).tokens->one_sequence->median, 2.0, kRounding);
}

TEST(MeasureSkew, CountsGiveStepsInsteadOfTokens) {
  RoutePack pack = small_pack("", false);
  pack.topk.reset();
  pack.header.experts = 2;
  pack.header.layers = 1;
  pack.header.axes = {"step", "source_rank", "layer", "expert"};
  // Step 0: 3 1 + 1 3 = 4 4; step 1: 6 0 + 2 0 = 8 0 (shares 1 0).
  pack.counts = make_array<std::uint8_t>(NumberType::kU1, {2, 2, 1, 2}, {3, 1, 1, 3, 6, 0, 2, 0});
  const SkewReport report = measure_skew(pack);
  EXPECT_NEAR(report.max_over_mean.median, 12.0 / 8.0, kRounding);
  ASSERT_TRUE(report.steps.has_value());
  EXPECT_NEAR(report.steps->max_over_mean.min, 1.0, kRounding);
  EXPECT_NEAR(report.steps->max_over_mean.max, 2.0, kRounding);
  EXPECT_NEAR(report.steps->step_distance->median, 0.5, kRounding);
  EXPECT_NEAR(report.steps->rank_distance->max, 0.25, kRounding);
  EXPECT_FALSE(report.tokens.has_value());
}

TEST(MeasureBatches, WholeSequencesGiveExactNumbers) {
  RoutePack pack = hand_pack();
  pack.sequences = {{0, 5, "a", ""}};
  // The only window of 5 tokens: all 4 experts; two ranks have 4 and 6 assignments.
  const auto window = measure_batches(
      pack, {.kind = BatchKind::kOneSequence, .tokens = 5, .draws = 3, .ranks = {2}, .seed = 1});
  ASSERT_TRUE(window.has_value());
  EXPECT_NEAR(window->unique_experts, 4.0, kRounding);
  EXPECT_NEAR(window->rank_imbalance[0], 0.2, kRounding);
  const auto one = measure_batches(
      pack,
      {.kind = BatchKind::kDistinctSequences, .tokens = 1, .draws = 9, .ranks = {}, .seed = 1});
  EXPECT_NEAR(one->unique_experts, 2.0, kRounding);
}

TEST(MeasureBatches, BatchesThatCannotBeDrawnAreAbsent) {
  BatchSpec spec{
      .kind = BatchKind::kDistinctSequences, .tokens = 3, .draws = 1, .ranks = {}, .seed = 1};
  EXPECT_FALSE(measure_batches(hand_pack(), spec).has_value());
  spec.kind = BatchKind::kOneSequence;
  EXPECT_TRUE(measure_batches(hand_pack(), spec).has_value());
  spec.tokens = 4;
  EXPECT_FALSE(measure_batches(hand_pack(), spec).has_value());
}

TEST(MeasureBatches, INV6SameSeedSameResult) {
  const BatchSpec spec{
      .kind = BatchKind::kDistinctSequences, .tokens = 2, .draws = 5, .ranks = {2, 4}, .seed = 3};
  const auto a = measure_batches(hand_pack(), spec);
  const auto b = measure_batches(hand_pack(), spec);
  EXPECT_EQ(a->unique_experts, b->unique_experts);
  EXPECT_EQ(a->rank_imbalance, b->rank_imbalance);
}

}  // namespace
}  // namespace moesim::traces
