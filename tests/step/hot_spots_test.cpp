// SPDX-License-Identifier: Apache-2.0
#include "sim/step/hot_spots.hpp"

#include <gmock/gmock-more-matchers.h>
#include <gtest/gtest.h>

namespace moesim {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(HotSpots, LargestComesFirstAndTheLowerIndexAmongEquals) {
  const std::vector<std::int64_t> values = {3, 9, 1, 9, 5};
  EXPECT_THAT(largest(values, 3), ElementsAre(1, 3, 4));
  EXPECT_THAT(largest(values, 99), ElementsAre(1, 3, 4, 0, 2));
  EXPECT_THAT(largest(values, 0), IsEmpty());
}

TEST(HotSpots, WhatIsZeroIsNotHot) {
  const std::vector<std::int64_t> values = {0, 2, 0};
  EXPECT_THAT(largest(values, 3), ElementsAre(1));
  EXPECT_THAT(largest(std::vector<std::int64_t>{}, 3), IsEmpty());
}

TEST(HotSpots, MaxOverMeanIsOneWhenEven) {
  EXPECT_DOUBLE_EQ(max_over_mean(std::vector<std::int64_t>{4, 4, 4, 4}), 1.0);
  EXPECT_DOUBLE_EQ(max_over_mean(std::vector<std::int64_t>{0, 0}), 1.0);
}

// 9 of 12 on one of four: mean 3.
TEST(HotSpots, MaxOverMeanOfAHotOneIsItsShareTimesTheCount) {
  EXPECT_DOUBLE_EQ(max_over_mean(std::vector<std::int64_t>{1, 9, 1, 1}), 3.0);
}

TEST(HotSpots, PairsAreNamedBySourceAndDestination) {
  TrafficMatrix matrix(3);
  matrix.at(RankId{2}, RankId{1}) = 70;
  matrix.at(RankId{0}, RankId{2}) = 90;
  matrix.at(RankId{1}, RankId{0}) = 70;
  const std::vector<HotPair> pairs = hot_pairs(matrix, 2);
  ASSERT_EQ(pairs.size(), 2U);
  EXPECT_EQ(pairs[0].source, RankId{0});
  EXPECT_EQ(pairs[0].destination, RankId{2});
  EXPECT_EQ(pairs[0].bytes, 90);
  EXPECT_EQ(pairs[1].source, RankId{1});  // 1 -> 0 lies before 2 -> 1
  EXPECT_EQ(pairs[1].destination, RankId{0});
  EXPECT_EQ(pairs[1].bytes, 70);
}

TEST(HotSpots, PairLoadsAddLayersAndKeepEveryPairOfFewRanks) {
  TrafficMatrix matrix(3);
  matrix.at(RankId{2}, RankId{1}) = 70;
  PairLoad load;
  add_pairs(load, matrix);
  matrix.at(RankId{0}, RankId{2}) = 5;
  add_pairs(load, matrix);
  EXPECT_EQ(load.ranks_per_cell, 1);
  EXPECT_EQ(load.cells, 3);
  EXPECT_THAT(load.bytes, ElementsAre(0, 0, 5, 0, 0, 0, 0, 140, 0));
}

// 130 ranks in at most 64 cells: 4 a cell, 33 cells, the last with two ranks.
TEST(HotSpots, PairLoadsOfManyRanksShareCellsAndLoseNoByte) {
  TrafficMatrix matrix(130);
  matrix.at(RankId{5}, RankId{129}) = 1;
  matrix.at(RankId{7}, RankId{128}) = 10;
  matrix.at(RankId{8}, RankId{0}) = 100;
  PairLoad load;
  add_pairs(load, matrix);
  EXPECT_EQ(load.ranks_per_cell, 4);
  EXPECT_EQ(load.cells, 33);
  EXPECT_EQ(load.bytes[1 * 33 + 32], 11);
  EXPECT_EQ(load.bytes[2 * 33 + 0], 100);
}

}  // namespace
}  // namespace moesim
