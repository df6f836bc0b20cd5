// SPDX-License-Identifier: Apache-2.0
// What a search of placements rests on: how near ranks are, what chance made of rows, on how many
// nodes experts lie.
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <numeric>

#include "sim/step/placement_study.hpp"
#include "sim/study/rank_levels.hpp"
#include "sim/study/row_spread.hpp"
#include "sim/study/survival.hpp"
#include "sim/study/trial_search.hpp"
#include "tests/step/step_fixtures.hpp"
#include "tests/study/placement_scenes.hpp"

namespace moesim::testing {
namespace {

using ::testing::ElementsAre;

/// Counts of one source, [step][expert].
ExpertTraffic traffic_of(const std::vector<std::vector<std::int32_t>>& counts) {
  ExpertTraffic traffic;
  traffic.ranks = 1;
  traffic.steps = static_cast<int>(counts.size());
  traffic.experts = static_cast<int>(counts.front().size());
  for (const auto& step : counts) {
    traffic.counts.insert(traffic.counts.end(), step.begin(), step.end());
  }
  return traffic;
}

/// Every token chooses two experts: 2 i and 2 i + 1 together, or any two.
class PairRouting final : public RoutingSource {
 public:
  PairRouting(bool together, std::uint64_t seed) : together_(together), seed_(seed) {
    info_.num_experts = 16;
    info_.top_k = 2;
    info_.layers = 1;
  }
  [[nodiscard]] const RoutingSourceInfo& info() const override { return info_; }
  [[nodiscard]] Routing route(int step, int /*layer*/) const override {
    RngStream rng(seed_, "pair routing", static_cast<std::uint64_t>(step));
    Routing routing{16, 2, {0}, {}, {}};
    for (int rank = 0; rank < 4; ++rank) {
      for (int token = 0; token < 60; ++token) {
        const std::uint64_t first = rng.below(16);
        const std::uint64_t other = together_ ? first ^ 1U : (first + 1 + rng.below(15)) % 16;
        routing.experts.push_back(static_cast<ExpertIndex>(first));
        routing.experts.push_back(static_cast<ExpertIndex>(other));
      }
      routing.token_begin.push_back(60 * (rank + 1));
    }
    return routing;
  }

 private:
  RoutingSourceInfo info_;
  bool together_;
  std::uint64_t seed_;
};

/// Trials on 4 ranks of 2 nodes from experts dealt out in turn, so that pairs lie apart.
class TrialCase {
 public:
  TrialCase(bool together, std::uint64_t seed) : routing_(together, seed) {
    RngStream rng(seed, "trial");
    model_ = two_node_model(rng, small_model(16, 2), routing_);
  }
  [[nodiscard]] TrialResult run(std::int64_t moves, int steps = 4) const {
    const LayerResources resources = layer_resources(model_, 16);
    const RankLevels levels = rank_levels(model_);
    return try_search({.model = model_,
                       .own = model_,
                       .resources = resources,
                       .levels = levels,
                       .window = {.first = 0, .steps = steps}},
                      [](const auto& /*traffic*/) { return round_robin_placement(16, 4); },
                      {.moves = moves});
  }
  /// What the start takes in a window, as searches count.
  [[nodiscard]] double start_in(TrafficWindow window) const {
    const LayerResources resources = layer_resources(model_, 16);
    const ExpertTraffic traffic = summarise_traffic(routing_, window, 0);
    return PlacementCost(model_, traffic, resources, round_robin_placement(16, 4))
        .cost()
        .guarded(SearchOptions{}.tail)
        .value;
  }

 private:
  PairRouting routing_;
  StepModel model_;
};

TrialResult trial_of(bool together, std::uint64_t seed) {
  return TrialCase(together, seed).run(4'000);
}

}  // namespace

// Pairs that are brought together in the first half of a window are together in the second one.
TEST(TrialSearch, BelievesWhatBelongsTogetherAndLittleOfChance) {
  double together = 0.0;
  double by_chance = 0.0;
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    const TrialResult trial = trial_of(true, seed);
    EXPECT_TRUE(trial.pays) << seed;
    together += trial.sharing / 6;
    by_chance += trial_of(false, seed).sharing / 6;
  }
  EXPECT_GT(together, 0.7);
  EXPECT_LT(by_chance, 0.5);
}

// Choices of replicas are compared by the half of the window that no map was made from.
TEST(TrialSearch, SaysWhatStepsNotSeenTake) {
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    const TrialCase together(true, seed);
    const double start = together.start_in({.first = 2, .steps = 2});
    EXPECT_DOUBLE_EQ(together.run(0).later.value().value, start) << seed;  // nothing found
    EXPECT_LT(together.run(4'000).later.value().value, start) << seed;
    EXPECT_LE(trial_of(false, seed).later.value().value,
              TrialCase(false, seed).start_in({.first = 2, .steps = 2}))
        << seed;
    EXPECT_FALSE(together.run(4'000, 1).later.has_value()) << seed;  // one step has no halves
  }
}

// Half of the choices of 10 tokens, two each: a token misses with (1 - 1/2)^2.
TEST(ExpectedCopies, AreThoseOfChoicesOneByOne) {
  EXPECT_DOUBLE_EQ(expected_copies(10, 10.0, 2, true), 0.75);
  EXPECT_DOUBLE_EQ(expected_copies(10, 10.0, 2, false), 1.0);
  EXPECT_DOUBLE_EQ(expected_copies(20, 10.0, 2, true), 1.0);
  EXPECT_EQ(expected_copies(0, 0.0, 2, true), 0.0);
}

// 2 pods of 2 nodes of 2 GPUs on rails: rank 0 is by the switch of its node from 1, on its rail and
// leaf with 2, on leaf 1 of its pod with 3 (over the spine, as 4 to 7 of the other pod).
TEST(RankLevels, AreTheDomainTheRailAndWhatLiesBehindSpines) {
  ClusterSpec spec = tiny_spec();
  spec.nodes = 4;
  spec.fabric = {FabricKind::kRail, 2, 1.0, gigabytes_per_second(20), microseconds(3)};
  StepModel model;
  model.cluster = build_cluster(spec);
  model.ranks = 8;
  const RankLevels levels = rank_levels(model);
  ASSERT_EQ(levels.size(), 8U);
  EXPECT_THAT(levels[0],
              ElementsAre(ElementsAre(1U), ElementsAre(2U), ElementsAre(3U, 4U, 5U, 6U, 7U)));
  EXPECT_THAT(levels[7],
              ElementsAre(ElementsAre(6U), ElementsAre(5U), ElementsAre(0U, 1U, 2U, 3U, 4U)));
  model.dispatch.scale_up = false;  // through the NICs even inside the node
  EXPECT_EQ(rank_levels(model)[0].front(), std::vector<std::size_t>{2});
}

// Expert 0 has 10, 14, expert 1 has 20, 20: means 12 + 20, variances 8 + 0. Then expert 0 has 0,
// 24: variances 288, so 1 - 32 / 288 is kept.
TEST(RowSpread, KeepsWhatIsMoreThanChance) {
  EXPECT_EQ(kept_spread(traffic_of({{10, 20}, {14, 20}})), 0.0);
  EXPECT_DOUBLE_EQ(kept_spread(traffic_of({{0, 20}, {24, 20}})), 1.0 - 32.0 / 288.0);
  EXPECT_EQ(kept_spread(traffic_of({{5, 20}})), 0.0);
}

// Mean 5. Half kept: 5, 2.5, 7.5, 5, sums 5, 7.5 (8), 15, 20.
TEST(RowSpread, SmoothsRowsTowardsTheirMean) {
  std::vector<std::int64_t> rows = {5, 0, 10, 5};
  smooth_rows(rows, 1.0);
  EXPECT_THAT(rows, ElementsAre(5, 0, 10, 5));
  smooth_rows(rows, 0.5);
  EXPECT_THAT(rows, ElementsAre(5, 3, 7, 5));
  smooth_rows(rows, 0.0);
  EXPECT_THAT(rows, ElementsAre(5, 5, 5, 5));
}

RC_GTEST_PROP(RowSpread, SmoothedRowsKeepTheirSumAndAreNotNegative, (std::uint64_t seed)) {
  RngStream rng(seed, "rows");
  std::vector<std::int64_t> rows(1 + rng.below(20));
  for (std::int64_t& row : rows) {
    row = static_cast<std::int64_t>(rng.below(3) * rng.below(1'000));
  }
  const auto sum = std::accumulate(rows.begin(), rows.end(), std::int64_t{0});
  smooth_rows(rows, rng.uniform01());
  RC_ASSERT(std::accumulate(rows.begin(), rows.end(), std::int64_t{0}) == sum);
  RC_ASSERT(*std::min_element(rows.begin(), rows.end()) >= 0);
}

// 4 ranks on nodes 0, 0, 1, 1, two slots each.
TEST(SurvivalRule, CountsTheNodesOfEveryExpert) {
  const SurvivalRule rule{.node_of_rank = {0, 0, 1, 1}, .least = 2};
  const auto slots = [](std::initializer_list<int> experts) {
    std::vector<ExpertId> ids;
    for (const int expert : experts) {
      ids.push_back(ExpertId{expert});
    }
    return ids;
  };
  EXPECT_TRUE(rule.is_kept_by_all(slots({0, 1, 2, 3, 0, 1, 2, 3})));
  EXPECT_FALSE(rule.is_kept_by_all(slots({0, 1, 0, 3, 2, 1, 2, 3})));
  EXPECT_TRUE(SurvivalRule{}.is_kept_by_all(slots({0, 1, 0, 3, 2, 1, 2, 3})));
  const std::vector<std::size_t> ranks = {0, 1, 2};
  EXPECT_TRUE(rule.is_kept_by(ranks));
  EXPECT_FALSE(rule.is_kept_by(std::span(ranks).first(2)));
}

}  // namespace moesim::testing
