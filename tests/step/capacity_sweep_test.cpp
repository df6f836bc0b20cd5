// SPDX-License-Identifier: Apache-2.0
#include "sim/step/capacity_sweep.hpp"

#include <gtest/gtest.h>

#include <atomic>

#include "tests/step/random_steps.hpp"

namespace moesim {
namespace {

using testing::random_step;
using testing::RandomStep;

constexpr int kSteps = 2;

CapacityGrid grid_for(const StepModel& model) {
  CapacityGrid grid{.factors = {0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 100.0},
                    .policies = {OverflowPolicy::kDrop, OverflowPolicy::kSpill},
                    .scopes = {CapacityScope::kRank, CapacityScope::kGroup}};
  if (sends_padded_shapes(model.dispatch.kind)) {
    grid.policies.push_back(OverflowPolicy::kPad);
  }
  return grid;
}

CapacitySweep swept(const StepModel& model, int threads) {
  return sweep_capacity(model,
                        kSteps,
                        grid_for(model),
                        {.threads = threads, .cancelled = nullptr, .on_progress = {}});
}

void expect_equal(const CapacityPoint& a, const CapacityPoint& b) {
  EXPECT_EQ(a.step_s, b.step_s);
  EXPECT_EQ(a.dropped_ratio, b.dropped_ratio);
  EXPECT_EQ(a.dropped_weight_ratio, b.dropped_weight_ratio);
  EXPECT_EQ(a.dispatch_bytes, b.dispatch_bytes);
  EXPECT_EQ(a.padding_rows, b.padding_rows);
}

// Reused counts and reused runs change nothing: every point is what a replay of its own yields.
TEST(SweepCapacity, GivesEachPointWhatARunOfItsOwnGives) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    const RandomStep step = random_step(seed, {.replicas = seed > 2});
    const CapacitySweep sweep = swept(step.model, 2);
    EXPECT_EQ(sweep.steps_done, kSteps);
    ASSERT_EQ(sweep.points.size(), sweep.curves.size() * 10);
    EXPECT_LT(sweep.simulated, static_cast<std::int64_t>(sweep.points.size() + 1) * kSteps);
    for (const CapacityPoint& point : sweep.points) {
      StepModel model = step.model;
      model.capacity = point.spec;
      const std::vector<StepResult> alone = replay(model, kSteps, ReplayControl{});
      std::int64_t dropped = 0;
      std::int64_t lost = 0;
      std::int64_t bytes = 0;
      std::int64_t padding = 0;
      for (std::size_t s = 0; s < alone.size(); ++s) {
        EXPECT_EQ(point.step_s[s], alone[s].makespan.to_seconds().value)
            << seed << " " << to_text(point.spec.policy) << " " << point.spec.factor;
        for (const LayerResult& layer : alone[s].layers) {
          dropped += layer.dropped;
          lost += layer.lost_tokens;
          bytes += layer.dispatch_bytes + layer.combine_bytes;
          padding += layer.padding_rows;
        }
      }
      EXPECT_EQ(point.dropped, dropped);
      EXPECT_EQ(point.lost_tokens, lost);
      EXPECT_EQ(point.dispatch_bytes + point.combine_bytes, bytes);
      EXPECT_EQ(point.padding_rows, padding);
    }
  }
}

// INV-6
TEST(SweepCapacity, DoesNotDependOnTheThreads) {
  const RandomStep step = random_step(5);
  const CapacitySweep one = swept(step.model, 1);
  const CapacitySweep four = swept(step.model, 4);
  EXPECT_EQ(one.simulated, four.simulated);
  ASSERT_EQ(one.points.size(), four.points.size());
  expect_equal(one.dropless, four.dropless);
  for (std::size_t p = 0; p < one.points.size(); ++p) {
    expect_equal(one.points[p], four.points[p]);
  }
}

TEST(SweepCapacity, LeavesOutPaddingWhereRanksPoolTheirCapacity) {
  const CapacityGrid grid{.factors = {1.0},
                          .policies = {OverflowPolicy::kPad},
                          .scopes = {CapacityScope::kRank, CapacityScope::kGroup}};
  EXPECT_EQ(curves_of(grid).size(), 1U);
}

// Cancelled while step 1 runs: the report covers step 0 alone. Before that: nothing to report.
TEST(SweepCapacity, ReportsTheWholeStepsDoneWhenItIsCancelled) {
  const RandomStep step = random_step(6);
  std::atomic<bool> cancelled{false};
  const auto points = static_cast<int>(curves_of(grid_for(step.model)).size()) * 10;
  const auto stop_after = [&](int count) {
    cancelled = false;
    return ReplayControl{.threads = 1,
                         .cancelled = &cancelled,
                         .on_progress = [&, count](int done, int) { cancelled = done > count; }};
  };
  const CapacitySweep sweep =
      sweep_capacity(step.model, kSteps, grid_for(step.model), stop_after(points));
  EXPECT_EQ(sweep.steps_done, 1);
  EXPECT_EQ(sweep.steps, kSteps);
  EXPECT_EQ(sweep.points.front().step_s.size(), 1U);
  EXPECT_THROW(
      static_cast<void>(sweep_capacity(step.model, kSteps, grid_for(step.model), stop_after(3))),
      Cancelled);
}

}  // namespace
}  // namespace moesim
