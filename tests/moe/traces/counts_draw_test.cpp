// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/traces/counts_draw.hpp"

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <numeric>
#include <set>

#include "tests/moe/traces/fixture.hpp"

namespace moesim::traces {
namespace {

std::vector<std::int64_t> load_of(const std::vector<ExpertIndex>& experts,
                                  std::size_t num_experts) {
  std::vector<std::int64_t> load(num_experts);
  for (const ExpertIndex expert : experts) {
    ++load[expert];
  }
  return load;
}

bool all_tokens_have_distinct_experts(const std::vector<ExpertIndex>& experts, int top_k) {
  const auto k = static_cast<std::size_t>(top_k);
  for (std::size_t at = 0; at < experts.size(); at += k) {
    const auto first = experts.begin() + static_cast<std::ptrdiff_t>(at);
    if (std::set<ExpertIndex>(first, first + top_k).size() != k) {
      return false;
    }
  }
  return true;
}

/// Counts that some tokens have: tokens * top_k assignments, at most one of an expert a token.
rc::Gen<std::vector<std::int64_t>> counts_of(std::int64_t tokens, int top_k, std::size_t experts) {
  return rc::gen::exec([=] {
    std::vector<std::int64_t> counts(experts);
    for (std::int64_t token = 0; token < tokens; ++token) {
      const auto first = *rc::gen::inRange<std::size_t>(0, experts);
      const auto skewed = *rc::gen::inRange<std::size_t>(0, first + 1);
      for (int slot = 0; slot < top_k; ++slot) {
        ++counts[(skewed + static_cast<std::size_t>(slot)) % experts];
      }
    }
    return counts;
  });
}

TEST(ScaledCounts, RemaindersGoToTheLargestThenToTheLowerExpert) {
  // 10 of 6: 3 1 2 times 10/6 = 5, 1.667, 3.333 -> 5 1 3, one left for the remainder 0.667.
  const std::vector<std::int64_t> counts = {3, 1, 2};
  EXPECT_THAT(scaled_counts(counts, 10), testing::ElementsAre(5, 2, 3));
  // 2 of 3 equal shares: the lower experts first.
  const std::vector<std::int64_t> equal = {1, 1, 1};
  EXPECT_THAT(scaled_counts(equal, 2), testing::ElementsAre(1, 1, 0));
}

RC_GTEST_PROP(ScaledCountsProperty, SumIsExactAndEveryShareWithinOneOfItsProportion, ()) {
  const auto counts =
      *rc::gen::nonEmpty(rc::gen::container<std::vector<std::int64_t>>(rc::gen::inRange(0, 1000)));
  const auto sum = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  RC_PRE(sum > 0);
  const std::int64_t total = *rc::gen::inRange(0, 100'000);
  const auto scaled = scaled_counts(counts, total);
  RC_ASSERT(std::accumulate(scaled.begin(), scaled.end(), std::int64_t{0}) == total);
  for (std::size_t e = 0; e < counts.size(); ++e) {
    RC_ASSERT(scaled[e] * sum > counts[e] * total - sum);
    RC_ASSERT(scaled[e] * sum < counts[e] * total + sum);
  }
}

RC_GTEST_PROP(CountsDrawProperty, CountsAreMetExactlyByTokensOfDistinctExperts, ()) {
  const std::int64_t tokens = *rc::gen::inRange(1, 60);
  const int top_k = *rc::gen::inRange(1, 5);
  const auto experts = static_cast<std::size_t>(*rc::gen::inRange(top_k, 12));
  const auto counts = *counts_of(tokens, top_k, experts);
  const auto seed = *rc::gen::arbitrary<std::uint64_t>();
  const auto drawn = draw_from_counts(counts, tokens, top_k, RngStream(seed, "test"));
  RC_ASSERT(load_of(drawn, experts) == counts);
  RC_ASSERT(all_tokens_have_distinct_experts(drawn, top_k));
}

RC_GTEST_PROP(CountsDrawProperty, CountsScaledToOtherTokensCanStillBeDrawn, ()) {
  const std::int64_t tokens = *rc::gen::inRange(1, 60);
  const int top_k = *rc::gen::inRange(1, 5);
  const auto experts = static_cast<std::size_t>(*rc::gen::inRange(top_k, 12));
  const std::int64_t other = *rc::gen::inRange(1, 200);
  const auto scaled = scaled_counts(*counts_of(tokens, top_k, experts), other * top_k);
  const auto drawn = draw_from_counts(scaled, other, top_k, RngStream(1, "test"));
  RC_ASSERT(load_of(drawn, experts) == scaled);
  RC_ASSERT(all_tokens_have_distinct_experts(drawn, top_k));
}

/// 2 steps, 2 source ranks, 2 layers, 4 experts, top_k 2; every rank has 6 tokens a step.
RoutePack ranked_counts(const std::filesystem::path& folder) {
  RoutePack pack = small_pack(folder, false);
  pack.topk.reset();
  pack.header.experts = 4;
  pack.header.axes = {"step", "source_rank", "layer", "expert"};
  pack.counts = make_array<std::uint16_t>(
      NumberType::kU2, {2, 2, 2, 4}, {6, 3, 2, 1, 0, 0, 6, 6, 3, 3, 3, 3, 4, 4, 4, 0,
                                      1, 2, 3, 6, 6, 6, 0, 0, 5, 3, 3, 1, 0, 4, 4, 4});
  return pack;
}

class CountsSourceTest : public testing::Test {
 protected:
  CountsSourceTest() { write_pack(ranked_counts(dir_ / "p"), "", false); }
  [[nodiscard]] std::unique_ptr<RoutingSource> open(int ranks, int tokens) const {
    return open_routing_source(
        {.trace = (dir_ / "p").string(), .draw = TraceDraw::kSequences, .domains = {}},
        ranks,
        tokens,
        11);
  }
  ScratchDir dir_;
};

TEST_F(CountsSourceTest, EverySourceRankMeetsItsOwnCounts) {
  const auto source = open(2, 6);
  EXPECT_EQ(source->info().origin, "counts");
  EXPECT_EQ(source->info().draw, "tokens drawn to meet the recorded counts of every source rank");
  EXPECT_FALSE(source->info().has_weights);
  const Routing routing = source->route(1, 0);
  EXPECT_THAT(routing.token_begin, testing::ElementsAre(0, 6, 12));
  const std::vector<ExpertIndex> first(routing.experts.begin(), routing.experts.begin() + 12);
  const std::vector<ExpertIndex> second(routing.experts.begin() + 12, routing.experts.end());
  EXPECT_THAT(load_of(first, 4), testing::ElementsAre(1, 2, 3, 6));
  EXPECT_THAT(load_of(second, 4), testing::ElementsAre(5, 3, 3, 1));
  EXPECT_TRUE(all_tokens_have_distinct_experts(routing.experts, 2));
}

TEST_F(CountsSourceTest, OtherRanksShareTheSummedCounts) {
  const auto source = open(4, 3);
  EXPECT_EQ(source->info().draw,
            "tokens of all ranks drawn together to meet the recorded counts, summed over the 2 "
            "recorded source ranks");
  EXPECT_THAT(expert_load(source->route(0, 1)), testing::ElementsAre(4, 4, 10, 6));
}

TEST_F(CountsSourceTest, OtherTokenNumbersKeepTheProportions) {
  EXPECT_THAT(expert_load(open(2, 60)->route(0, 1)), testing::ElementsAre(40, 40, 100, 60));
}

TEST_F(CountsSourceTest, StepsStartAgainWithFreshTokens) {
  const auto source = open(2, 6);
  EXPECT_EQ(expert_load(source->route(0, 0)), expert_load(source->route(2, 0)));
  EXPECT_NE(source->route(0, 0).experts, source->route(2, 0).experts);
}

TEST_F(CountsSourceTest, INV6SameArgumentsGiveTheSameRouting) {
  const auto source = open(2, 6);
  const Routing late = source->route(5, 1);
  (void)source->route(0, 0);
  EXPECT_EQ(source->route(5, 1).experts, late.experts);
  EXPECT_EQ(open(2, 6)->route(5, 1).experts, late.experts);
}

TEST_F(CountsSourceTest, CountsHaveNoDomains) {
  EXPECT_EQ(user_error(dir_,
                       [&] {
                         (void)open_routing_source({.trace = (dir_ / "p").string(),
                                                    .draw = TraceDraw::kSequences,
                                                    .domains = {"code"}},
                                                   1,
                                                   1,
                                                   1);
                       }),
            "p: error: routing.domains: a counts pack has no domains");
}

}  // namespace
}  // namespace moesim::traces
