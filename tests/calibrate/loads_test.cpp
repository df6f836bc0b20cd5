// SPDX-License-Identifier: Apache-2.0
#include "sim/calibrate/loads.hpp"

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

namespace moesim::calibrate {
namespace {
using ::testing::Each;
using ::testing::ElementsAre;

std::int64_t sum(const std::vector<std::int64_t>& load) {
  return std::accumulate(load.begin(), load.end(), std::int64_t{0});
}

/// 16 experts, top-4: stride 4. Token 1 of 8 visits 1, 5, 9, 13.
TEST(Loads, BalancedTokensStepThroughTheExpertsWithOneStride) {
  const Routing routing = balanced_routing({16, 4, 2}, 4);
  EXPECT_EQ(routing.num_tokens(), 8);
  EXPECT_THAT(routing.of_token(1), ElementsAre(1, 5, 9, 13));
  EXPECT_THAT(balanced_load({16, 4, 2}, 8), Each(2));
}

/// Two tokens, stride 4: they start at 0 and 2, so 8 different experts, 4 of them on rank 0 of 2.
TEST(Loads, FewBalancedTokensVisitDifferentExperts) {
  EXPECT_THAT(balanced_load({16, 4, 2}, 2), ElementsAre(1, 0, 1, 0, 1, 0, 1, 0));
}

TEST(Loads, UniformTokensVisitDistinctExpertsAndRepeatWithTheirSeed) {
  const Routing routing = uniform_routing({16, 8, 2}, 100, 7);
  for (std::int32_t t = 0; t < routing.num_tokens(); ++t) {
    const auto experts = routing.of_token(t);
    EXPECT_EQ(std::set<int>(experts.begin(), experts.end()).size(), 8U);
  }
  EXPECT_EQ(routing.experts, uniform_routing({16, 8, 2}, 100, 7).experts);
  EXPECT_NE(routing.experts, uniform_routing({16, 8, 2}, 100, 8).experts);
}

TEST(Loads, APowerLawLoadsOneRankBeyondTheMeanAndNoExpertBeyondTheTokens) {
  const auto loads = power_law_loads({256, 8, 8}, 4096, 1.01);
  EXPECT_EQ(loads.size(), static_cast<std::size_t>(kPowerLawDraws));
  for (const std::vector<std::int64_t>& load : loads) {
    ASSERT_EQ(load.size(), 32U);
    EXPECT_GE(sum(load), 4096 * 8 / 8);
    EXPECT_LE(*std::max_element(load.begin(), load.end()), 4096);
    EXPECT_GE(*std::min_element(load.begin(), load.end()), 0);
  }
  EXPECT_NE(loads[0], loads[1]);
  EXPECT_EQ(loads, power_law_loads({256, 8, 8}, 4096, 1.01));
}

TEST(Loads, OneRankHasAllAssignmentsOfAPowerLaw) {
  for (const std::int64_t tokens : {3, 1000}) {
    const auto loads = power_law_loads({64, 4, 1}, tokens, 1.2);
    EXPECT_EQ(loads.size(), static_cast<std::size_t>(kOneRankDraws));
    for (const std::vector<std::int64_t>& load : loads) {
      EXPECT_EQ(sum(load), 4 * tokens);
      EXPECT_LE(*std::max_element(load.begin(), load.end()), tokens);
    }
  }
}

/// 8 ranks of 32 experts: the busiest one receives more tokens the more it is loaded, so draws near
/// a large number of received tokens carry more rows than draws near a small one.
TEST(Loads, TheTokensReceivedChooseAmongTheDraws) {
  const auto few = power_law_loads({256, 8, 8}, 1024, 1.01, 100);
  const auto many = power_law_loads({256, 8, 8}, 1024, 1.01, 1024);
  ASSERT_EQ(few.size(), static_cast<std::size_t>(kNearestDraws));
  ASSERT_EQ(many.size(), static_cast<std::size_t>(kNearestDraws));
  EXPECT_LT(sum(few[0]), sum(many[0]));
}

/// 8 experts a rank, 300 rows in blocks of 128: 3 blocks of 100 rows.
TEST(Loads, FilledBlocksUseAsManyExpertsAsBlocks) {
  EXPECT_THAT(filled_load({16, 2, 2}, 300, 128), ElementsAre(100, 100, 100, 0, 0, 0, 0, 0));
  EXPECT_THAT(filled_load({16, 2, 2}, 8000, 128), Each(1000));
  EXPECT_THAT(filled_load({16, 2, 2}, 1, 128), ElementsAre(1, 0, 0, 0, 0, 0, 0, 0));
}

}  // namespace
}  // namespace moesim::calibrate
