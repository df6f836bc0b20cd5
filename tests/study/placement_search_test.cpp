// SPDX-License-Identifier: Apache-2.0
#include "sim/study/placement_search.hpp"

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <set>

#include "sim/moe/eplb.hpp"
#include "sim/moe/surviving_placement.hpp"
#include "sim/step/placement_study.hpp"
#include "sim/study/annealing.hpp"
#include "sim/study/exact_search.hpp"
#include "sim/study/placement_bound.hpp"
#include "sim/study/rank_levels.hpp"
#include "tests/study/placement_scenes.hpp"

namespace moesim::testing {
namespace {

TrafficWindow scene_window() {
  return {.first = 0, .steps = kSceneSteps};
}

std::vector<std::vector<ExpertId>> slots_of(const SearchResult& result) {
  std::vector<std::vector<ExpertId>> slots;
  for (const Placement& placement : result.placements) {
    slots.push_back(placement.expert_of_slot);
  }
  return slots;
}

/// 4 ranks on 2 nodes; `experts` experts, skewed, top-2, 30 tokens a rank; pairwise or
/// hierarchical.
RandomStep small_case(std::uint64_t seed, int experts) {
  RandomStep step;
  RngStream rng(seed, "small case");
  StepModel& m = step.model;
  ClusterSpec spec = random_cluster_spec(rng, true);
  spec.nodes = 2;
  m.cluster = build_cluster(spec);
  m.ranks = 4;
  m.layers = 2;
  m.model = small_model(experts, 2);
  m.constants = plain_constants();
  m.dispatch.kind = static_cast<DispatcherKind>(rng.below(3));
  m.replicas.choice = static_cast<ReplicaChoice>(rng.below(2));
  step.routing =
      std::make_unique<RandomRouting>(std::vector<std::int32_t>(4, 30), experts, 2, seed);
  m.routing = step.routing.get();
  return step;
}

SearchOptions small_options(int slots) {
  return {.slots = slots, .moves = 3'000, .trial = false, .threads = 1};
}

}  // namespace

TEST(OptimisePlacement, SamePlacementsAtAnyThreadCount) {
  const RandomStep step = small_case(3, 12);
  SearchOptions options = small_options(16);
  const SearchResult one = optimise_placement(step.model, scene_window(), options);
  options.threads = 2;
  const SearchResult two = optimise_placement(step.model, scene_window(), options);
  EXPECT_EQ(slots_of(one), slots_of(two));
  EXPECT_EQ(one.moves, 6'000);
  EXPECT_FALSE(one.exact);
  options.seed = 2;
  EXPECT_NE(slots_of(one), slots_of(optimise_placement(step.model, scene_window(), options)));
}

TEST(OptimisePlacement, NeverWorseThanEplbAndNeverBelowTheBound) {
  int better = 0;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    const RandomStep step = small_case(seed, 12);
    const SearchResult found = optimise_placement(step.model, scene_window(), small_options(16));
    const LayerResources resources = layer_resources(step.model, 16);
    for (int layer = 0; layer < step.model.layers; ++layer) {
      const ExpertTraffic traffic = summarise_traffic(*step.model.routing, scene_window(), layer);
      const Placement eplb =
          eplb_placement(expert_loads(traffic), {.slots = 16, .groups = 1, .nodes = 1, .ranks = 4});
      const double tail = small_options(16).tail;
      const SearchedLayer& searched = found.layers[static_cast<std::size_t>(layer)];
      const Seconds of_eplb =
          PlacementCost(step.model, traffic, resources, eplb, searched.believed).objective(tail);
      EXPECT_LE(searched.best_objective, of_eplb);
      EXPECT_GE(searched.best.total(),
                placement_bound(step.model, scene_window(), layer, 16).best());
      better += searched.best_objective < of_eplb ? 1 : 0;
    }
  }
  EXPECT_GE(better, 15);  // of 20
}

constexpr double kNear = 1.002;

// 4 experts, 2 slots a rank: C(5, 2)^4 = 10,000 ways, all tried beside the annealing.
TEST(Annealing, ComesWithinTwoThousandthsOfTheOptimumOfSmallCases) {
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    const RandomStep step = small_case(seed, 4);
    const StepModel& model = step.model;
    const ExpertTraffic traffic = summarise_traffic(*model.routing, scene_window(), 0);
    const LayerResources resources = layer_resources(model, 8);
    SearchOptions options = small_options(8);
    options.moves = 10'000;
    double least = std::numeric_limits<double>::infinity();
    double worst = 0.0;
    for_each_placement({.experts = 4, .slots = 8, .ranks = 4}, [&](const auto& slots) {
      const PlacementCost cost(model, traffic, resources, placement_from_slots(slots, 4));
      const double value = cost.objective(options.tail).value;
      least = std::min(least, value);
      worst = std::max(worst, value);
      return true;
    });
    std::vector<PlacementCost> layers;
    layers.emplace_back(model,
                        traffic,
                        resources,
                        placement_from_slots({ExpertId{0},
                                              ExpertId{0},
                                              ExpertId{0},
                                              ExpertId{0},
                                              ExpertId{0},
                                              ExpertId{1},
                                              ExpertId{2},
                                              ExpertId{3}},
                                             4));
    EXPECT_GT(layers.front().objective(options.tail).value, least);
    AnnealingProgress progress(options, options.moves);
    const RankLevels levels = rank_levels(model);
    Annealing annealing(layers, options, 0, levels);
    EXPECT_TRUE(annealing.run(progress));
    const PlacementCost best(
        model, traffic, resources, placement_from_slots(annealing.best_slots(), 4));
    EXPECT_LE(best.objective(options.tail).value, kNear * least) << "seed " << seed;
    EXPECT_GT(worst, 1.01 * least);
  }
}

// 4 experts, 1 slot a rank: 4^4 ways, 4! of them with every expert.
TEST(OptimisePlacement, TriesAllPlacementsOfASmallSpace) {
  const RandomStep step = small_case(1, 4);
  const SearchResult found = optimise_placement(step.model, scene_window(), small_options(4));
  EXPECT_TRUE(found.exact);
  EXPECT_EQ(found.moves, 2 * 24);
  const LayerResources resources = layer_resources(step.model, 4);
  const ExpertTraffic traffic = summarise_traffic(*step.model.routing, scene_window(), 1);
  std::vector<ExpertId> slots = {ExpertId{0}, ExpertId{1}, ExpertId{2}, ExpertId{3}};
  double least = std::numeric_limits<double>::infinity();
  do {
    const PlacementCost cost(
        step.model, traffic, resources, placement_from_slots(slots, 4), found.layers[1].believed);
    least = std::min(least, cost.objective(small_options(4).tail).value);
  } while (std::next_permutation(slots.begin(), slots.end()));
  EXPECT_DOUBLE_EQ(found.layers[1].best_objective.value, least);
}

TEST(ExactSearch, VisitsEveryPlacementOnce) {
  std::set<std::vector<ExpertId>> seen;
  const PlacementSpace space{.experts = 3, .slots = 4, .ranks = 2};
  for_each_placement(space, [&](const std::vector<ExpertId>& slots) {
    EXPECT_TRUE(seen.insert(slots).second);
    EXPECT_LE(slots[0], slots[1]);
    EXPECT_LE(slots[2], slots[3]);
    return true;
  });
  // {a, b} of 3 with repetition, twice: 36; without all three experts: 3 pairs of experts, each 9
  // ways of which 2 are of one expert alone, and 3 of one expert: 36 - 3 * 7 - 3 = 12.
  EXPECT_EQ(seen.size(), 12U);
  EXPECT_EQ(count_placements(space, 36), 36);
  EXPECT_EQ(count_placements(space, 35), std::nullopt);
  EXPECT_EQ(count_placements({.experts = 256, .slots = 320, .ranks = 64}, kSmallSpace),
            std::nullopt);
}

TEST(OptimisePlacement, OneMapForAllLayersWhenShared) {
  const RandomStep step = small_case(5, 12);
  SearchOptions options = small_options(16);
  options.shared = true;
  const SearchResult found = optimise_placement(step.model, scene_window(), options);
  ASSERT_EQ(found.placements.size(), 2U);
  ASSERT_EQ(found.layers.size(), 2U);
  EXPECT_EQ(found.placements[0].expert_of_slot, found.placements[1].expert_of_slot);
  EXPECT_EQ(found.moves, 3'000);
  const auto sum = [&](auto part) { return part(found.layers[0]) + part(found.layers[1]); };
  EXPECT_LT(sum([](const SearchedLayer& layer) { return layer.best_objective; }),
            sum([](const SearchedLayer& layer) { return layer.start_objective; }));
}

TEST(OptimisePlacement, KeepsEveryExpertOnEnoughNodesAndIsFasterThanWhereItStarts) {
  int faster = 0;  // of 4 cases of 2 layers
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    const RandomStep step = small_case(seed, 8);
    const std::vector<int> nodes = node_of_rank(step.model);
    SearchOptions options = small_options(20);
    options.survival = {.node_of_rank = nodes, .least = 2};
    for (int layer = 0; layer < step.model.layers; ++layer) {
      const ExpertTraffic traffic = summarise_traffic(*step.model.routing, scene_window(), layer);
      options.starts.push_back(*surviving_placement(expert_loads(traffic), 20, nodes, 2));
    }
    const SearchResult found = optimise_placement(step.model, scene_window(), options);
    EXPECT_EQ(experts_lost_with_a_node(found.placements, nodes), 0);
    for (const SearchedLayer& layer : found.layers) {
      EXPECT_LE(layer.best_objective, layer.start_objective);
      faster += layer.best_objective < layer.start_objective ? 1 : 0;
    }
    const SearchResult free = optimise_placement(step.model, scene_window(), small_options(20));
    EXPECT_GT(experts_lost_with_a_node(free.placements, nodes), 0);  // the rule binds
  }
  EXPECT_GE(faster, 6);
}

TEST(OptimisePlacement, LeastLoadedIsSearchedAsItself) {
  RandomStep step = small_case(3, 12);
  step.model.replicas.choice = ReplicaChoice::kLeastLoaded;
  const SearchResult found = optimise_placement(step.model, scene_window(), small_options(16));
  EXPECT_EQ(found.moves, 6'000);
  TrafficWindow window = scene_window();
  window.in_order = true;
  const LayerResources resources = layer_resources(step.model, 16);
  int otherwise = 0;
  for (std::size_t layer = 0; layer < found.layers.size(); ++layer) {
    const SearchedLayer& searched = found.layers[layer];
    EXPECT_LT(searched.best_objective, searched.start_objective);
    const ExpertTraffic traffic =
        summarise_traffic(*step.model.routing, window, static_cast<int>(layer));
    const auto objective_by = [&](ReplicaChoice choice) {
      StepModel model = step.model;
      model.replicas.choice = choice;
      return PlacementCost(model, traffic, resources, found.placements[layer], searched.believed)
          .objective(small_options(16).tail);
    };
    EXPECT_EQ(searched.best_objective, objective_by(ReplicaChoice::kLeastLoaded));
    otherwise += objective_by(ReplicaChoice::kEven) != searched.best_objective ? 1 : 0;
  }
  EXPECT_GT(otherwise, 0);
}

TEST(OptimisePlacement, KeepsTheBestWhenInterrupted) {
  const RandomStep step = small_case(3, 12);
  std::atomic<bool> stop = false;
  SearchOptions options = small_options(16);
  options.moves = 1'000'000'000;
  options.cancelled = &stop;
  std::vector<SearchProgress> reports;
  options.on_progress = [&](const SearchProgress& progress) {
    reports.push_back(progress);
    stop = progress.moves >= 4'000;
  };
  const SearchResult found = optimise_placement(step.model, scene_window(), options);
  EXPECT_TRUE(found.interrupted);
  EXPECT_FALSE(found.exact);
  EXPECT_EQ(found.moves, 4'000);
  EXPECT_EQ(reports.front().total, 2'000'000'000);
  EXPECT_LE(reports.back().best, reports.front().best + reports.back().start);
  ASSERT_EQ(found.placements.size(), 2U);
  EXPECT_LT(found.layers[0].best_objective, found.layers[0].start_objective);
}

}  // namespace moesim::testing
