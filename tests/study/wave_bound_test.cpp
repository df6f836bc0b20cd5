// SPDX-License-Identifier: Apache-2.0
#include "sim/study/wave_bound.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <numeric>
#include <span>
#include <vector>

#include "sim/moe/rank_floor.hpp"
#include "sim/study/fitting_slots.hpp"
#include "sim/study/replica_split.hpp"
#include "tests/study/placement_scenes.hpp"

namespace moesim::testing {
namespace {

/// A slot of part `part`, and others alike.
std::vector<PartsAlike> parts_of(double part, int slots) {
  return {{.part = part, .slots = slots}};
}

}  // namespace

RC_GTEST_PROP(RankFloor, NoRowsOfARankTakeLess, (std::uint64_t seed)) {
  const ModelShape model = small_model(8, 2);
  RngStream rng(seed, "rank floor");
  ClusterSpec cluster = random_cluster_spec(rng, true);
  const CostConstants constants = random_expert_constants(rng);
  const ComputeModel compute{cluster.gpu, constants};
  const RankFloor floor(compute, model);
  for (int i = 0; i < 10; ++i) {
    std::vector<std::int64_t> rows(1 + rng.below(5));
    for (std::int64_t& of_slot : rows) {
      of_slot = static_cast<std::int64_t>(1 + rng.below(1 + rng.below(900)));
    }
    // Which heights the GEMMs took is not known: the rank is in one of the states, and no state of
    // more than its coarsest tiles is above its time.
    double least = 1e9;
    for (std::size_t size = 0; size < floor.tile_rows().size(); ++size) {
      std::int64_t tiles = 0;
      for (const std::int64_t of_slot : rows) {
        tiles += (of_slot + floor.tile_rows()[size] - 1) / floor.tile_rows()[size];
      }
      const RankFill fill{
          .size = size, .tiles = tiles, .active = static_cast<std::int64_t>(rows.size())};
      RC_ASSERT(floor.least_rows(fill) <=
                std::accumulate(rows.begin(), rows.end(), std::int64_t{0}));
      least = std::min(least, floor.least(fill).value);
    }
    RC_ASSERT(least <= expert_time(compute, model, rows).value * (1 + 1e-12));
  }
}

RC_GTEST_PROP(SlotPieces, SlotsTakeTurnsAsTheChooserLetsThem, (std::uint64_t seed)) {
  const CostScene scene(seed);
  for (std::size_t e = 0; e < static_cast<std::size_t>(scene.traffic.experts); ++e) {
    const std::size_t replicas = 1 + seed % 5;
    const ReplicaSplit split = even_split(scene.traffic, e, replicas);
    for (int step = 0; step < kSceneSteps; ++step) {
      const std::vector<std::int64_t> rows = even_rows(scene.traffic.of(step, e), replicas);
      for (std::size_t i = 0; i < replicas; ++i) {
        RC_ASSERT(rows[i] == split.rows[i * kSceneSteps + static_cast<std::size_t>(step)]);
      }
    }
  }
}

// Columns of 132 tiles both ways on 132 multiprocessors: each tile of 128 rows is a wave, smaller
// ones are dearer by row. Four experts on two ranks, a slot each: of 128 rows, two waves a rank.
// Two of 129 take two tiles each, six in all, three of one rank: fewer waves do not do, and three
// are known to.
TEST(WaveBound, TheSlowestRankPaysWholeTilesAndWaves) {
  ModelShape model = small_model(8, 1);
  model.num_experts = 4;
  model.hidden_size = 132 * 128;
  model.expert_width = 132 * 128;
  model.expert_gated = false;
  RngStream rng(1, "waves");
  ClusterSpec cluster = random_cluster_spec(rng, true);
  cluster.gpu.sms = 132;
  cluster.gpu.memory_bandwidth = gigabytes_per_second(1e6);
  CostConstants constants = plain_constants();
  constants.tile_rows = 128;
  constants.tile_columns = 128;
  constants.tile_fetch_share = 1.0;
  const RankFloor floor({cluster.gpu, constants}, model);
  const auto slowest = [&](const std::vector<std::int32_t>& rows, int slots) {
    ExpertTraffic traffic;
    traffic.ranks = 2;
    traffic.experts = 4;
    traffic.steps = 1;
    for (const std::int32_t of_expert : rows) {
      traffic.counts.insert(traffic.counts.end(), {of_expert - of_expert / 2, of_expert / 2});
    }
    const SlotPieces pieces(traffic, 0, slots, RowSharing::kEven, floor.tile_rows());
    const WaveBound waves(floor, {.ranks = 2, .slots_per_rank = slots / 2}, pieces.rows());
    EXPECT_LE(waves.mean(pieces), waves.slowest(pieces, {}) * (1 + 1e-3));
    return waves.slowest(pieces, {});
  };
  const auto least = [&](std::int64_t tiles, std::int64_t active) {
    return floor.least({.size = 0, .tiles = tiles, .active = active}).value;
  };
  EXPECT_NEAR(slowest({128, 128, 128, 128}, 4), least(2, 2), 1e-3 * least(2, 2));
  // Smaller tiles for the rows beyond 128 are not ruled out, at their price.
  EXPECT_NEAR(slowest({129, 127, 129, 127}, 4), least(3, 2), 0.02 * least(3, 2));
  EXPECT_GT(slowest({129, 127, 129, 127}, 4), 1.3 * least(2, 2));
  // A third slot a rank: the halves of 129 are a tile each, three a rank again.
  EXPECT_NEAR(slowest({129, 127, 129, 127}, 6), least(3, 3), 0.02 * least(3, 3));
}

// Two ranks of two slots, three experts, one of them with two slots. Rooms: the sum of 0.6, 0.6,
// 0.5 is below 2 however the fourth slot is made. Halving the 0.5 leaves 0.6, 0.6, 0.25, 0.25: it
// fits. Where its halves are 0.45 as well (whole tiles), nothing fits: 0.6 + 0.45 > 1 in both
// ranks, and of the other two the halves of 0.35 leave 0.6 and 0.5 for 0.35 each: 0.6 + 0.35 and
// 0.5 + 0.35.
TEST(FittingSlots, LooksForNumbersOfSlotsThatFit) {
  const FitRoom room{.ranks = 2, .slots_per_rank = 2, .spare = 1};
  SlotChoices choices = {{parts_of(0.6, 1), parts_of(0.6, 2)},
                         {parts_of(0.6, 1), parts_of(0.6, 2)},
                         {parts_of(0.5, 1), parts_of(0.25, 2)}};
  EXPECT_FALSE(cannot_fit(choices, room));
  choices[2][1] = parts_of(0.45, 2);
  EXPECT_TRUE(cannot_fit(choices, room));
  choices[0][1] = parts_of(0.35, 2);
  EXPECT_FALSE(cannot_fit(choices, room));
  choices[0][1] = parts_of(1.2, 2);  // a slot above the room of a rank
  EXPECT_TRUE(cannot_fit(choices, room));
  const std::vector<std::vector<double>> costs = {{0.6, 1.2}, {0.6, 1.2}, {0.5, 0.9}};
  EXPECT_DOUBLE_EQ(least_of_choices(costs, 1), 0.6 + 0.6 + 0.9);
}

// Three slots a rank of two. Five of 0.35 and more leave no room for the sixth in any way, and sums
// and thresholds do not see it: what is not settled is not ruled out. Three of 0.55 are one too
// many for two ranks, under 1/2. Under 1/3, 0.9 and 0.7 are all of a rank each, and 0.35 has none.
TEST(FittingSlots, ThresholdsSettleWhatSumsDoNot) {
  const FitRoom room{.ranks = 2, .slots_per_rank = 3, .spare = 0};
  const auto of = [](const std::vector<double>& parts) {
    SlotChoices choices;
    for (const double part : parts) {
      choices.push_back({parts_of(part, 1)});
    }
    return choices;
  };
  EXPECT_FALSE(cannot_fit(of({0.4, 0.4, 0.4, 0.35, 0.35, 0.1}), room));
  EXPECT_TRUE(cannot_fit(of({0.55, 0.55, 0.55, 0.1, 0.1, 0.1}), room));
  EXPECT_TRUE(cannot_fit(of({0.9, 0.7, 0.35, 0.02, 0.01, 0.0}), room));
}

RC_GTEST_PROP(FittingSlots, NeverRulesOutWhatFits, (std::uint64_t seed)) {
  RngStream rng(seed, "fitting");
  const auto ranks = static_cast<int>(1 + rng.below(4));
  const auto of_rank = static_cast<int>(1 + rng.below(3));
  std::vector<double> parts;
  for (int r = 0; r < ranks; ++r) {
    double left = 1.0;
    for (int i = 0; i < of_rank; ++i) {
      parts.push_back(i + 1 == of_rank ? left : left * rng.uniform01());
      left -= parts.back();
    }
  }
  shuffle(std::span(parts), rng);
  const std::size_t spare = parts.size() > 1 ? rng.below(parts.size()) : 0;
  const std::size_t experts = parts.size() - spare;
  SlotChoices choices(experts);
  std::size_t next = 0;
  for (std::size_t e = 0; e < experts; ++e) {  // the first has all spare slots, as drawn
    const std::size_t own = e == 0 ? spare + 1 : 1;
    for (std::size_t slots = 1; slots <= spare + 1; ++slots) {
      std::vector<PartsAlike>& alike = choices[e].emplace_back();
      for (std::size_t i = 0; i < slots; ++i) {
        alike.push_back({slots == own ? parts[next + i] : 2.0 * rng.uniform01(), 1});
      }
    }
    next += own;
  }
  RC_ASSERT(!cannot_fit(
      choices, {.ranks = ranks, .slots_per_rank = of_rank, .spare = static_cast<int>(spare)}));
}

}  // namespace moesim::testing
