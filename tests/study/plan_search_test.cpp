// SPDX-License-Identifier: Apache-2.0
// The search of a plan against trying everything, on invented scores.
#include "sim/study/plan_search.hpp"

#include <gmock/gmock-more-matchers.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <atomic>
#include <cmath>

#include "sim/core/rng.hpp"
#include "sim/step/replay.hpp"

namespace moesim {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::array<PlanObjective, 3> kAll = {
    PlanObjective::kThroughput, PlanObjective::kLatency, PlanObjective::kCost};

/// Scores with ties, bounds that are as good or better, limits that admit about half.
struct Scene {
  std::vector<PlanScore> scores;
  std::vector<PlanCandidate> candidates;
  std::atomic<int> simulated{0};

  explicit Scene(std::uint64_t seed) {
    RngStream rng(seed, "plan scene");
    const auto draw = [&] { return 1.0 + static_cast<double>(rng.below(12)); };
    const std::uint64_t count = 1 + rng.below(60);
    for (std::uint64_t i = 0; i < count; ++i) {
      const PlanScore score{draw(), draw(), draw()};
      scores.push_back(score);
      const auto slack = [&] { return 1.0 + 0.3 * rng.uniform01(); };
      PlanCandidate c;
      c.bound = {score.throughput * slack(), score.latency / slack(), score.cost / slack()};
      c.limits.latency = 9;
      c.limits.cost = 10;
      c.limits.throughput = static_cast<double>(rng.below(4));
      candidates.push_back(c);
    }
  }
  /// A second bound of two configurations in three: half of the way from the first to the score.
  [[nodiscard]] std::optional<PlanScore> second(std::size_t i) const {
    const PlanScore& a = candidates[i].bound;
    const PlanScore& b = scores[i];
    return i % 3 == 0 ? std::nullopt
                      : std::optional(PlanScore{(a.throughput + b.throughput) / 2,
                                                (a.latency + b.latency) / 2,
                                                (a.cost + b.cost) / 2});
  }
  bool sharpens = false;
  [[nodiscard]] PlanSearch search(PlanMethod method,
                                  std::vector<PlanObjective> objectives = {kAll.begin(),
                                                                           kAll.end()},
                                  int threads = 0,
                                  int steps = 1) {
    simulated = 0;
    return search_plan(
        candidates,
        [&](std::size_t i, int) {
          ++simulated;
          return std::optional(scores[i]);
        },
        {.method = method,
         .objectives = std::move(objectives),
         .steps = steps,
         .threads = threads,
         .sharpen = sharpens ? [&](std::size_t i) { return second(i); }
                             : std::function<std::optional<PlanScore>(std::size_t)>{}});
  }
};

RC_GTEST_PROP(PlanSearch, BoundsLoseNoPointOfTheFrontINV10, (std::uint16_t seed)) {
  Scene scene(seed);
  std::vector<PlanObjective> objectives(kAll.begin(), kAll.end());
  objectives.erase(objectives.begin() + seed % 3);
  if (seed % 2 == 0) {
    objectives.assign(kAll.begin(), kAll.end());
  }
  const PlanSearch all = scene.search(PlanMethod::kExhaustive, objectives);
  RC_ASSERT(scene.simulated == static_cast<int>(scene.scores.size()));
  const PlanSearch pruned = scene.search(PlanMethod::kBounds, objectives);
  RC_ASSERT(pruned.front == all.front);
  RC_ASSERT(scene.simulated <= static_cast<int>(scene.scores.size()));
  for (std::size_t i = 0; i < scene.scores.size(); ++i) {
    const PlanOutcome& outcome = pruned.outcomes[i];
    const bool admitted = scene.candidates[i].limits.admits(scene.scores[i]);
    RC_ASSERT(outcome.state != PlanState::kBoundOverLimit || !admitted);
    RC_ASSERT(outcome.state != PlanState::kDominated ||
              dominates(scene.scores[outcome.by], scene.scores[i], objectives));
  }
  const int by_first_bound = scene.simulated;
  scene.sharpens = true;
  const PlanSearch twice = scene.search(PlanMethod::kBounds, objectives);
  RC_ASSERT(twice.front == all.front);
  RC_ASSERT(scene.simulated <= by_first_bound);
  for (std::size_t i = 0; i < scene.scores.size(); ++i) {
    const PlanOutcome& outcome = twice.outcomes[i];
    RC_ASSERT(!outcome.sharpened || i % 3 != 0);
    RC_ASSERT(outcome.bound.latency <= scene.scores[i].latency);
  }
}

// The first bound says nothing, the second all: what it rules out is never simulated, and nobody
// asks for it where it could rule out nothing (the first wave, without limits).
TEST(PlanSearch, TakesASecondBoundOfWhatTheFirstOneLeaves) {
  std::vector<PlanCandidate> candidates(20, PlanCandidate{.bound = {1e9, 0, 0}, .limits = {}});
  candidates[12].limits.latency = 5;
  std::atomic<int> simulated{0};
  std::atomic<int> asked{0};
  const auto score = [](std::size_t i) {
    const auto worse = static_cast<double>(i);
    return PlanScore{100 - worse, 1 + worse, 1 + worse};
  };
  const PlanSearch found =
      search_plan(candidates,
                  [&](std::size_t i, int) {
                    ++simulated;
                    return std::optional(score(i));
                  },
                  {.objectives = {kAll.begin(), kAll.end()}, .sharpen = [&](std::size_t i) {
                     ++asked;
                     return std::optional(score(i));
                   }});
  EXPECT_THAT(found.front, ElementsAre(0));
  EXPECT_EQ(simulated, static_cast<int>(kPlanWave));
  EXPECT_EQ(asked, 20 - static_cast<int>(kPlanWave));
  EXPECT_FALSE(found.outcomes[0].sharpened);
  EXPECT_EQ(found.outcomes[9].state, PlanState::kDominated);
  EXPECT_TRUE(found.outcomes[9].sharpened);
  EXPECT_EQ(found.outcomes[9].bound.latency, 10);
  EXPECT_EQ(found.outcomes[12].state, PlanState::kBoundOverLimit);
}

RC_GTEST_PROP(PlanSearch, TheFrontIsWhatNothingDominates, (std::uint16_t seed)) {
  Scene scene(seed);
  const PlanSearch found = scene.search(PlanMethod::kExhaustive);
  for (std::size_t i = 0; i < scene.scores.size(); ++i) {
    bool best = scene.candidates[i].limits.admits(scene.scores[i]);
    for (std::size_t j = 0; j < scene.scores.size(); ++j) {
      best = best && !(scene.candidates[j].limits.admits(scene.scores[j]) &&
                       dominates(scene.scores[j], scene.scores[i], kAll));
    }
    const bool on = std::find(found.front.begin(), found.front.end(), i) != found.front.end();
    RC_ASSERT(on == best);
  }
}

// Scores that fall with every objective together: one wave is simulated, the rest is dominated.
TEST(PlanSearch, LeavesOutWhatABoundProvesUseless) {
  std::vector<PlanCandidate> candidates;
  for (int i = 0; i < 100; ++i) {
    candidates.push_back({{100.0 - i, 1.0 + i, 1.0 + i}, {}});
  }
  candidates[99].limits.latency = 50;
  std::atomic<int> simulated{0};
  const PlanSearch found = search_plan(candidates,
                                       [&](std::size_t i, int) {
                                         ++simulated;
                                         return std::optional(candidates[i].bound);
                                       },
                                       {.objectives = {kAll.begin(), kAll.end()}});
  EXPECT_THAT(found.front, ElementsAre(0));
  EXPECT_EQ(simulated, static_cast<int>(kPlanWave));
  EXPECT_EQ(found.outcomes[50].state, PlanState::kDominated);
  EXPECT_EQ(found.outcomes[50].by, 0U);
  EXPECT_EQ(found.outcomes[99].state, PlanState::kBoundOverLimit);
}

TEST(PlanSearch, IsTheSameAtAnyNumberOfThreadsINV6) {
  Scene scene(7);
  const PlanSearch one = scene.search(PlanMethod::kBounds, {kAll.begin(), kAll.end()}, 1);
  const PlanSearch four = scene.search(PlanMethod::kBounds, {kAll.begin(), kAll.end()}, 4);
  EXPECT_EQ(one.front, four.front);
  for (std::size_t i = 0; i < one.outcomes.size(); ++i) {
    EXPECT_EQ(one.outcomes[i].state, four.outcomes[i].state);
    EXPECT_EQ(one.outcomes[i].by, four.outcomes[i].by);
  }
}

// Short runs that rank as long ones do: what is left out is not on the front, and every survivor
// ran all four steps.
TEST(PlanSearch, HalvingKeepsTheBetterHalfOfEachRung) {
  std::vector<PlanCandidate> candidates(32);
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    candidates[i].bound = {1e9, 0, 0};  // bounds say nothing
  }
  std::atomic<int> steps_run{0};
  const PlanSearch found = search_plan(
      candidates,
      [&](std::size_t i, int steps) {
        steps_run += steps;
        const double x = static_cast<double>(i);
        return std::optional(PlanScore{x + 1, 100 - x, i == 3 ? 0.5 : 33 - x});
      },
      {.method = PlanMethod::kHalving, .objectives = {kAll.begin(), kAll.end()}, .steps = 4});
  EXPECT_THAT(found.front, ElementsAre(3, 31));
  EXPECT_EQ(std::count_if(found.outcomes.begin(),
                          found.outcomes.end(),
                          [](const auto& o) { return o.state == PlanState::kLeftOut; }),
            24);
  EXPECT_EQ(steps_run, 32 + 16 * 2 + 8 * 4);
  EXPECT_EQ(found.outcomes[31].steps, 4);
}

TEST(PlanSearch, KeepsWhatItHasWhenInterrupted) {
  std::vector<PlanCandidate> candidates(40);
  for (auto& c : candidates) {
    c.bound = {1e9, 0, 0};
  }
  std::atomic<bool> stop{false};
  std::atomic<int> calls{0};
  const PlanSearch found =
      search_plan(candidates,
                  [&](std::size_t i, int) -> std::optional<PlanScore> {
                    if (++calls > 4) {
                      stop = true;
                      throw Cancelled();
                    }
                    return PlanScore{static_cast<double>(i + 1), 1, 1};
                  },
                  {.objectives = {kAll.begin(), kAll.end()}, .cancelled = &stop});
  EXPECT_TRUE(found.interrupted);
  EXPECT_EQ(found.front.size(), 1U);
  EXPECT_EQ(std::count_if(found.outcomes.begin(),
                          found.outcomes.end(),
                          [](const auto& o) { return o.state == PlanState::kNotReached; }),
            36);
}

TEST(PlanSearch, ARefusedConfigurationIsOnNoFront) {
  const std::vector<PlanCandidate> candidates(3, {{1e9, 0, 0}, {}});
  const PlanSearch found =
      search_plan(candidates,
                  [](std::size_t i, int) {
                    return i == 1 ? std::nullopt : std::optional(PlanScore{1.0, 1.0, 1.0});
                  },
                  {.objectives = {kAll.begin(), kAll.end()}});
  EXPECT_EQ(found.outcomes[1].state, PlanState::kRefused);
  EXPECT_THAT(found.front, ElementsAre(0, 2));  // equals do not dominate each other
}

TEST(PlanSearch, AWrongBoundIsABug) {
  const std::vector<PlanCandidate> candidates = {{{1, 1, 1}, {}}};
  const auto run = [&](PlanScore score) {
    (void)search_plan(candidates,
                      [&](std::size_t, int) { return std::optional(score); },
                      {.objectives = {PlanObjective::kLatency}});
  };
  EXPECT_NO_THROW(run({1, 1, 1}));
  EXPECT_THROW(run({2, 1, 1}), std::logic_error);
  EXPECT_THROW(run({1, 0.5, 1}), std::logic_error);
  EXPECT_THROW(run({1, 1, 0.5}), std::logic_error);
}

// 10 / x falls through 4 at 2.5, and through 20 at 0.5; 1000 is out of reach.
TEST(Crossing, IsFoundToOnePercent) {
  const auto value = [](double x) { return 10 / x; };
  EXPECT_NEAR(*crossing(value, 4, 16), 2.5, 0.025);
  EXPECT_NEAR(*crossing(value, 20, 0.125), 0.5, 0.005);
  EXPECT_FALSE(crossing(value, 1'000, 0.125));
  EXPECT_FALSE(crossing(value, 20, 16));  // the other way
}

// A limit that a bound cannot show is one all the same.
TEST(PlanSearch, AScoreThatIsNotWithinIsOverALimit) {
  const std::vector<PlanCandidate> candidates(2, PlanCandidate{.bound = {9, 1, 1}, .limits = {}});
  const PlanSearch found = search_plan(candidates,
                                       [](std::size_t i, int) {
                                         return std::optional(PlanScore{5, 2, 3, i == 1});
                                       },
                                       {.objectives = {PlanObjective::kCost}});
  EXPECT_EQ(found.outcomes[0].state, PlanState::kOverLimit);
  EXPECT_EQ(found.outcomes[1].state, PlanState::kFeasible);
  EXPECT_THAT(found.front, ElementsAre(1));
}

}  // namespace
}  // namespace moesim
