// SPDX-License-Identifier: Apache-2.0
#include "sim/step/verdict.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace moesim {
namespace {

const std::vector<double> kBefore = {10.0, 12.0, 11.0, 13.0};

/// Saved 1, 3, 2, 2: mean 2, sd sqrt(2/3), half width 3.182446 * sqrt(2/3) / 2 = 1.299228.
const std::vector<double> kAfter = {9.0, 9.0, 9.0, 11.0};
constexpr double kHalfWidth = 1.299228;

TEST(Verdict, TriesWhatSurelyPaysBack) {
  // 60 s of stall in 100 steps: 0.6 s a step are needed, at least 2 - 1.2992 = 0.7008 are saved.
  const Verdict v = judge_change(kBefore, kAfter, seconds(60), 100);
  EXPECT_EQ(v.kind, VerdictKind::kTry);
  EXPECT_DOUBLE_EQ(v.gain_s, 2.0);
  EXPECT_NEAR(v.half_width_s, kHalfWidth, 1e-6);
  EXPECT_DOUBLE_EQ(v.needed_s, 0.6);
  EXPECT_DOUBLE_EQ(v.break_even_steps.value(), 30.0);
  EXPECT_FALSE(v.steps_to_settle.has_value());
}

TEST(Verdict, IsUnknownInsideTheInterval) {
  // 1 s a step is needed; to settle: 4 * (1.2992 / 1)^2 = 6.75, 7 steps.
  const Verdict v = judge_change(kBefore, kAfter, seconds(100), 100);
  EXPECT_EQ(v.kind, VerdictKind::kUnknown);
  EXPECT_DOUBLE_EQ(v.steps_to_settle.value(), 7.0);
}

TEST(Verdict, SkipsWhatCostsMoreThanItSaves) {
  // 4 s a step are needed, at most 3.2992 are saved; 400 / 2 steps would pay it back.
  const Verdict v = judge_change(kBefore, kAfter, seconds(400), 100);
  EXPECT_EQ(v.kind, VerdictKind::kSkip);
  EXPECT_DOUBLE_EQ(v.break_even_steps.value(), 200.0);
}

TEST(Verdict, SkipsWhatIsSlowerEvenForFree) {
  const Verdict v = judge_change(kAfter, kBefore, seconds(0), 100);
  EXPECT_EQ(v.kind, VerdictKind::kSkip);
  EXPECT_DOUBLE_EQ(v.gain_s, -2.0);
  EXPECT_FALSE(v.break_even_steps.has_value());
}

TEST(Verdict, TheSamePlacementIsSkipped) {
  const Verdict v = judge_change(kBefore, kBefore, seconds(0), 100);
  EXPECT_EQ(v.kind, VerdictKind::kSkip);
  EXPECT_EQ(v.half_width_s, 0.0);
}

TEST(Verdict, OneStepSettlesNothing) {
  const std::vector<double> before = {2.0};
  const std::vector<double> after = {1.0};
  const Verdict v = judge_change(before, after, seconds(0), 100);
  EXPECT_EQ(v.kind, VerdictKind::kUnknown);
  EXPECT_TRUE(std::isinf(v.half_width_s));
  EXPECT_FALSE(v.steps_to_settle.has_value());
}

}  // namespace
}  // namespace moesim
