// SPDX-License-Identifier: Apache-2.0
#include "sim/step/rebalance.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "sim/moe/eplb.hpp"
#include "sim/step/layer_work.hpp"
#include "sim/step/migration.hpp"
#include "tests/step/random_steps.hpp"

namespace moesim {
namespace {

using testing::random_step;
using testing::RandomStep;

using Loads = std::span<const std::vector<double>>;

/// A random step whose ranks hold several experts each, so that greedy has a choice.
RandomStep step_with_choice(std::uint64_t seed) {
  RandomStep step = random_step(seed);
  while (step.model.model.num_experts == step.model.ranks) {
    step = random_step(++seed);
  }
  return step;
}

RebalanceSetup setup_of(const RandomStep& s) {
  const int ranks = s.model.ranks;
  return {.first = 2, .steps = 6, .window = 2, .make = [ranks](Loads loads) {
            std::vector<Placement> placements;
            for (const std::vector<double>& load : loads) {
              placements.push_back(greedy_placement(load, ranks));
            }
            return placements;
          }};
}

TEST(Rebalance, NeverIsAReplay) {
  const RandomStep s = step_with_choice(21);
  const RebalanceOutcome never = rebalance(s.model, {}, setup_of(s), {});
  const std::vector<StepResult> replayed = replay(s.model, 8, {});
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(never.step_s[i], replayed[i + 2].makespan.to_seconds().value);
  }
  EXPECT_EQ(never.moves, 0);
  EXPECT_EQ(never.stall_s, 0.0);
  EXPECT_DOUBLE_EQ(never.mean_s(),
                   std::accumulate(never.step_s.begin(), never.step_s.end(), 0.0) / 6);
}

TEST(Rebalance, EveryThreeStepsMakesTwoPlacementsFromTheStepsBefore) {
  const RandomStep s = step_with_choice(22);
  const RebalanceSetup setup = setup_of(s);
  const RebalanceOutcome outcome = rebalance(s.model, {.every = 3}, setup, {});
  const std::vector<Placement> first =
      setup.make(window_loads(*s.model.routing, {0, 2}, s.model.layers));
  const std::vector<Placement> second =
      setup.make(window_loads(*s.model.routing, {3, 2}, s.model.layers));
  const Domains domains = make_domains(rank_places(s.model.cluster, s.model.ranks));
  const Bytes expert = routed_expert_bytes(s.model.model);
  const Migration to_first = plan_migration(s.model.placements, first, domains, expert);
  const Migration to_second = plan_migration(first, second, domains, expert);
  EXPECT_EQ(outcome.moves, 2);
  EXPECT_EQ(outcome.moved_bytes, to_first.total_bytes() + to_second.total_bytes());
  EXPECT_DOUBLE_EQ(outcome.stall_s,
                   pause_of(s.model, to_first).value + pause_of(s.model, to_second).value);
  StepModel with = s.model;
  with.placements = first;
  EXPECT_EQ(outcome.step_s[2], simulate_step(with, 4).makespan.to_seconds().value);
  with.placements = second;
  EXPECT_EQ(outcome.step_s[3], simulate_step(with, 5).makespan.to_seconds().value);
  EXPECT_EQ(outcome.step_s[5], simulate_step(with, 7).makespan.to_seconds().value);
}

TEST(Rebalance, AThresholdThatIsNeverPassedMovesNothing) {
  const RandomStep s = step_with_choice(23);
  const RebalanceOutcome high = rebalance(s.model, {.threshold = 1000.0}, setup_of(s), {});
  const RebalanceOutcome never = rebalance(s.model, {}, setup_of(s), {});
  EXPECT_EQ(high.moves, 0);
  EXPECT_EQ(high.step_s, never.step_s);
}

TEST(Rebalance, AThresholdThatIsAlwaysPassedIsAnInterval) {
  const RandomStep s = step_with_choice(24);
  const RebalanceOutcome low = rebalance(s.model, {.threshold = 1e-9}, setup_of(s), {});
  const RebalanceOutcome every = rebalance(s.model, {.every = 2}, setup_of(s), {});
  EXPECT_EQ(low.moves, every.moves);
  EXPECT_GT(low.moves, 0);
  EXPECT_EQ(low.step_s, every.step_s);
  EXPECT_EQ(low.stall_s, every.stall_s);
}

TEST(Rebalance, PlannedImbalanceSharesReplicasEvenly) {
  // Loads 6, 2, 4; expert 0 on both ranks: 3 + 2 against 3 + 4, max / mean = 7 / 6.
  const std::vector<std::vector<double>> loads = {{6.0, 2.0, 4.0}};
  const std::vector<Placement> placements = {
      placement_from_slots({ExpertId{0}, ExpertId{1}, ExpertId{0}, ExpertId{2}}, 2)};
  EXPECT_DOUBLE_EQ(planned_imbalance(loads, placements), 7.0 / 6.0);
}

}  // namespace
}  // namespace moesim
