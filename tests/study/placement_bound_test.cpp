// SPDX-License-Identifier: Apache-2.0
#include "sim/study/placement_bound.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include "sim/moe/domains.hpp"
#include "sim/moe/least_expert_time.hpp"
#include "sim/moe/rank_floor.hpp"
#include "sim/step/layer_work.hpp"
#include "sim/study/expert_floor.hpp"
#include "sim/study/pair_bound.hpp"
#include "sim/study/rank_arrivals.hpp"
#include "sim/study/wave_bound.hpp"
#include "tests/study/placement_scenes.hpp"

namespace moesim::testing {
namespace {

/// Every expert once, the other slots drawn, in any order.
Placement random_placement_of(int experts, int slots, int ranks, RngStream& rng) {
  std::vector<ExpertId> expert_of_slot;
  for (int s = 0; s < slots; ++s) {
    const auto drawn = rng.below(static_cast<std::uint64_t>(experts));
    expert_of_slot.push_back(ExpertId{s < experts ? s : static_cast<std::int32_t>(drawn)});
  }
  shuffle(std::span(expert_of_slot), rng);
  return placement_from_slots(std::move(expert_of_slot), ranks);
}

/// Simulated time of the first layer, by itself, averaged over the steps of a scene.
double simulated_layer(StepModel model, const Placement& placement) {
  model.layers = 1;
  model.placements = {placement};
  double sum = 0.0;
  for (int step = 0; step < kSceneSteps; ++step) {
    sum += simulate_step(model, step).makespan.to_seconds().value;
  }
  return sum / kSceneSteps;
}

/// WaveBound of the experts by themselves: of the slowest rank, no less than the mean.
double experts_alone(const CostScene& scene, int slots) {
  const StepModel& model = scene.step.model;
  const RankFloor floor({model.cluster.gpu, model.constants}, model.model);
  double speed = 0.0;
  for (int r = 0; r < model.ranks; ++r) {
    speed = std::max(speed, model.cluster.place(id_at<GpuId>(static_cast<std::size_t>(r))).speed);
  }
  double sum = 0.0;
  for (int step = 0; step < kSceneSteps; ++step) {
    const SlotPieces pieces(
        scene.traffic, step, slots, row_sharing(model, slots), floor.tile_rows());
    const RankRoom room{
        .ranks = model.ranks, .slots_per_rank = slots / model.ranks, .speed = speed};
    const WaveBound waves(floor, room, pieces.rows());
    sum += std::max(waves.slowest(pieces, {}), waves.mean(pieces));
  }
  return sum / kSceneSteps * (1 - 1e-9);
}

/// The same top-1 routing in every step.
class OneRouting final : public RoutingSource {
 public:
  explicit OneRouting(Routing routing) : routing_(std::move(routing)) {
    info_.num_experts = routing_.num_experts;
    info_.top_k = routing_.top_k;
    info_.layers = 1;
  }
  /// Rows of expert 0, then 10 of each expert of the rank: 1 and 2, 3 and 4, 5 and 6, 7.
  void add_rank(int rows, int rank) {
    routing_.experts.insert(routing_.experts.end(), static_cast<std::size_t>(rows), ExpertIndex{0});
    for (int e = 2 * rank + 1; e <= std::min(2 * rank + 2, 7); ++e) {
      routing_.experts.insert(routing_.experts.end(), 10, static_cast<ExpertIndex>(e));
    }
    routing_.token_begin.push_back(static_cast<std::int32_t>(routing_.experts.size()));
  }
  [[nodiscard]] std::int64_t fewest() const {
    std::int64_t fewest = routing_.num_tokens();
    for (std::size_t r = 0; r + 1 < routing_.token_begin.size(); ++r) {
      fewest =
          std::min<std::int64_t>(fewest, routing_.token_begin[r + 1] - routing_.token_begin[r]);
    }
    return fewest;
  }
  [[nodiscard]] const RoutingSourceInfo& info() const override { return info_; }
  [[nodiscard]] Routing route(int /*step*/, int /*layer*/) const override { return routing_; }

 private:
  RoutingSourceInfo info_;
  Routing routing_;
};

}  // namespace

RC_GTEST_PROP(PlacementBound, NoPlacementIsFaster, (std::uint64_t seed)) {
  const CostScene scene(seed);
  const StepModel& model = scene.step.model;
  const int slots = scene.start().num_slots();
  const double bound =
      placement_bound(model, {.first = 0, .steps = kSceneSteps}, 0, slots).best().value;
  RC_ASSERT(bound > 0.0);
  RngStream rng(seed, "placements");
  for (int i = 0; i < 5; ++i) {
    const Placement placement =
        random_placement_of(model.model.num_experts, slots, model.ranks, rng);
    const PlacementCost cost(model, scene.traffic, scene.resources, placement);
    RC_ASSERT(cost.cost().total().value >= bound);
    RC_ASSERT(cost.cost().experts.value >= experts_alone(scene, slots));
    RC_ASSERT(simulated_layer(model, placement) >= bound);
  }
}

// 4 ranks on 2 nodes, top-1 of 8 experts: expert 0 has 22, 22, 23 and 23 rows of the ranks, each
// other one 10, of one rank. With a slot an expert, the rank of expert 0 computes 90 rows and 10 of
// its other slot; 90 - 23 rows come over its own links, scale-up 450 * 0.75 and PCIe 60 GB/s, and
// go back. With 16 slots no number of replicas brings the busiest slot under 10 rows: 9 slots of
// expert 0 and 7 others are 16. None of the 10 need come from elsewhere, since one rank brings 23.
TEST(PlacementBound, LoadBoundIsTheRankOfTheBusiestSlot) {
  RngStream rng(1, "load bound");
  OneRouting source({8, 1, {0}, {}, {}});
  for (int rank = 0; rank < 4; ++rank) {
    source.add_rank(rank < 2 ? 22 : 23, rank);
  }
  const StepModel model = two_node_model(rng, small_model(8, 1), source);
  const ComputeModel compute{model.cluster.gpu, model.constants};
  const TrafficWindow window{.first = 0, .steps = 2};
  const double fixed = (fixed_time(model, summarise_traffic(source, window, 0)) +
                        shared_expert_time(compute, model.model, source.fewest()))
                           .value;
  const CopyBytes copy = copy_bytes(model.model, DispatcherKind::kPairwise, 2, 8);
  const double both_ways = static_cast<double>(copy.dispatch() + copy.combine) / 397.5e9;
  const auto experts = [&](const std::vector<std::int64_t>& rows) {
    return expert_time(compute, model.model, rows).value;
  };
  constexpr double kMargin = 1 - 1e-6;
  EXPECT_NEAR(placement_bound(model, window, 0, 8).load.value,
              kMargin * (fixed + experts({90, 10}) + 67 * both_ways),
              1e-12);
  EXPECT_NEAR(
      placement_bound(model, window, 0, 16).load.value, kMargin * (fixed + experts({10})), 1e-12);
}

/// What the tokens of a step do under a placement, replicas drawn for every assignment.
struct Visits {
  double pairs = 0.0;   ///< elements of a token that meet, its own group one of them
  double copies = 0.0;  ///< groups that tokens visit beside their own
  double shared = 0.0;  ///< experts of a token beyond its first in a group
};

Visits visits_of(const Routing& routing,
                 const Placement& placement,
                 const std::vector<std::size_t>& group_of_rank,
                 RngStream& rng) {
  Visits visits;
  for (std::size_t source = 0; source < group_of_rank.size(); ++source) {
    for (std::int32_t t = routing.token_begin[source]; t < routing.token_begin[source + 1]; ++t) {
      std::map<std::size_t, double> elements = {{group_of_rank[source], 1.0}};
      std::map<std::size_t, double> experts;
      for (const ExpertIndex expert : routing.of_token(t)) {
        const auto slots = placement.slots_of(ExpertId{expert});
        const std::size_t group =
            group_of_rank[placement.rank_of(slots[rng.below(slots.size())]).index()];
        ++elements[group];
        visits.shared += experts[group] > 0.0 ? 1.0 : 0.0;
        ++experts[group];
      }
      for (const auto& [group, count] : elements) {
        visits.pairs += count * (count - 1) / 2;
      }
      visits.copies += static_cast<double>(elements.size()) - 1.0;
    }
  }
  return visits;
}

RC_GTEST_PROP(PairBound, NoPlacementHasMorePairsTogetherOrFewerCopies, (std::uint64_t seed)) {
  const RandomStep step = placement_scene(seed);
  const StepModel& model = step.model;
  const Domains domains = make_domains(rank_places(model.cluster, model.ranks));
  std::vector<std::size_t> rank_itself(static_cast<std::size_t>(model.ranks));
  std::iota(rank_itself.begin(), rank_itself.end(), std::size_t{0});
  const Routing routing = model.routing->route(0, 0);
  RngStream rng(seed, "pairs");
  for (const bool by_domain : {false, true}) {
    const std::vector<std::size_t>& group_of_rank = by_domain ? domains.of_rank : rank_itself;
    const PairCounts counts =
        count_pairs(*model.routing, {.first = 0, .steps = 1}, 0, group_of_rank);
    for (const int spare : {0, model.ranks}) {
      const int slots = model.model.num_experts + spare;
      const std::size_t ranks_of_group = by_domain ? domains.members.front().size() : 1;
      const GroupSizes sizes{
          .slots = ranks_of_group * static_cast<std::size_t>(slots / model.ranks),
          .spare = static_cast<std::size_t>(spare)};
      const double most = most_pairs_together(counts, sizes);
      const double fewest = fewest_copies(counts, sizes, model.model.top_k);
      for (int i = 0; i < 5; ++i) {
        const Placement placement =
            random_placement_of(model.model.num_experts, slots, model.ranks, rng);
        const Visits visits = visits_of(routing, placement, group_of_rank, rng);
        RC_ASSERT(visits.pairs <= most + 1e-6);
        RC_ASSERT(visits.copies >= fewest - 1e-6);
        RC_ASSERT(visits.shared <= most_shared(counts, sizes) + 1e-6);
      }
    }
  }
}

// 9 elements: in 4 groups at best 3, 2, 2, 2 meet, 3 + 1 + 1 + 1 = 6 pairs; in 3 groups 9, in 2
// groups (5 and 4) 10 + 6 = 16, in one 36. Between them the mean lies on the lines.
TEST(PairBound, FewestGroupsLieOnTheHullOfEvenSplits) {
  EXPECT_DOUBLE_EQ(fewest_groups(9, 4, 0.0), 4.0);
  EXPECT_DOUBLE_EQ(fewest_groups(9, 4, 6.0), 4.0);
  EXPECT_DOUBLE_EQ(fewest_groups(9, 4, 7.5), 3.5);
  EXPECT_DOUBLE_EQ(fewest_groups(9, 4, 9.0), 3.0);
  EXPECT_DOUBLE_EQ(fewest_groups(9, 4, 26.0), 1.5);
  EXPECT_DOUBLE_EQ(fewest_groups(9, 4, 40.0), 1.0);
  EXPECT_DOUBLE_EQ(fewest_groups(3, 64, 0.5), 2.5);  // no more groups than elements
}

RC_GTEST_PROP(ExpertFloor, LinesLieBelowTheExpertsWhateverTheSlots, (std::uint64_t seed)) {
  const ModelShape model = small_model(8, 2);
  RngStream rng(seed, "floor");
  ClusterSpec cluster = random_cluster_spec(rng, true);
  CostConstants constants = plain_constants();
  constants.gemm_overlap = rng.uniform01();
  constants.expert_floor = microseconds(static_cast<double>(rng.below(40)));
  const ComputeModel compute{cluster.gpu, constants};
  constexpr std::int64_t kMost = 5'000;
  const std::vector<Line> rows = lines_over_rows(compute, model, kMost);
  const std::vector<Line> slots = lines_over_slots(compute, model, 6);
  for (int i = 0; i < 20; ++i) {
    std::vector<std::int64_t> of_slots(1 + rng.below(6));
    for (std::int64_t& of_slot : of_slots) {
      of_slot = static_cast<std::int64_t>(rng.below(kMost / 6));
    }
    const auto sum = std::accumulate(of_slots.begin(), of_slots.end(), std::int64_t{0});
    const auto used = std::count_if(of_slots.begin(), of_slots.end(), [](auto n) { return n > 0; });
    const double time = expert_time(compute, model, of_slots).value;
    RC_ASSERT(value_at(rows, static_cast<double>(sum)) <= time * (1 + 1e-12));
    RC_ASSERT(value_at(slots, static_cast<double>(used)) <= time * (1 + 1e-12));
  }
}

/// Rows of `experts` experts, some without, each over one or several of the slots of ranks.
std::vector<std::vector<std::int64_t>> shared_rows(std::span<const std::int64_t> rows,
                                                   SlotRoom room,
                                                   RngStream& rng) {
  std::vector<std::vector<std::int64_t>> of_rank(static_cast<std::size_t>(room.ranks));
  const auto give = [&](std::int64_t part) {
    std::size_t rank = rng.below(of_rank.size());
    while (of_rank[rank].size() == static_cast<std::size_t>(room.slots_per_rank)) {
      rank = (rank + 1) % of_rank.size();
    }
    of_rank[rank].push_back(part);
  };
  auto spare = static_cast<std::uint64_t>(room.ranks * room.slots_per_rank) - rows.size();
  for (const std::int64_t all : rows) {
    std::int64_t left = all;
    while (spare > 0 && left > 1 && rng.below(2) == 0) {
      const auto part =
          1 + static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(left - 1)));
      give(part);
      left -= part;
      --spare;
    }
    give(left);
  }
  return of_rank;
}

RC_GTEST_PROP(LeastExpertTime, NoSharingOfRowsTakesLessInTheMean, (std::uint64_t seed)) {
  const ModelShape model = small_model(8, 2);
  RngStream rng(seed, "least experts");
  ClusterSpec cluster = random_cluster_spec(rng, true);
  const CostConstants constants = random_expert_constants(rng);
  const ComputeModel compute{cluster.gpu, constants};
  std::vector<std::int64_t> rows;
  for (int e = 0; e < 8; ++e) {
    rows.push_back(static_cast<std::int64_t>(rng.below(3) * rng.below(2'000)));
  }
  const SlotRoom room{.ranks = 4, .slots_per_rank = 2 + static_cast<int>(rng.below(3))};
  const double least = LeastExpertTime(compute, model, 4'000).mean(rows, room).value;
  for (int i = 0; i < 5; ++i) {
    double sum = 0.0;
    for (const std::vector<std::int64_t>& of_rank : shared_rows(rows, room, rng)) {
      sum += expert_time(compute, model, of_rank).value;
    }
    RC_ASSERT(least <= sum / room.ranks * (1 + 1e-12));
  }
}

// 132 multiprocessors, 128 x 128 tiles, 132 * 128 columns both ways: an expert of 256 rows is two
// waves whatever else its rank does, and every rank has two of them. With 257 rows it needs one
// tile of 16 rows more, which by fetching takes (16 + 128) / 256 of a full one and with smaller
// columns no less; the rank pays three whole waves.
TEST(LeastExpertTime, EvenLoadsThatFillTilesAndWavesTakeNoMore) {
  ModelShape model = small_model(8, 2);
  model.hidden_size = 132 * 128;
  model.expert_width = 132 * 128;
  model.expert_gated = false;
  RngStream rng(1, "even");
  ClusterSpec cluster = random_cluster_spec(rng, true);
  cluster.gpu.sms = 132;
  CostConstants constants = plain_constants();
  constants.tile_rows = 128;
  constants.tile_columns = 128;
  constants.tile_fetch_share = 1.0;
  constants.gemm_overlap = 0.0;
  const ComputeModel compute{cluster.gpu, constants};
  const SlotRoom room{.ranks = 4, .slots_per_rank = 2};
  const auto least = [&](std::int64_t rows) {
    return LeastExpertTime(compute, model, rows)
        .mean(std::vector<std::int64_t>(8, rows), room)
        .value;
  };
  const auto real = [&](std::int64_t rows) {
    return expert_time(compute, model, std::vector<std::int64_t>(2, rows)).value;
  };
  EXPECT_NEAR(least(256), real(256), 1e-12 * real(256));
  const double wave = (real(384) - real(256)) / 2;  // of both experts, and the bytes of 256 rows
  EXPECT_LT(least(257), real(257));
  EXPECT_GT(least(257) - least(256), 0.5 * wave);
  EXPECT_EQ(least(0), 0.0);
}

}  // namespace moesim::testing
