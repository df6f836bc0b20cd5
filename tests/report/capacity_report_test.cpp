// SPDX-License-Identifier: Apache-2.0
#include "sim/report/capacity_report.hpp"

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include "tests/report/small_report.hpp"

namespace moesim {
namespace {

using testing::HasSubstr;

// Scaled: (0, 1), (0.25, 0.4), (0.5, 0.1), (1, 0): 1 - x - y = 0, 0.35, 0.4, 0.
TEST(KneeOf, IsThePointFarthestBelowTheChord) {
  const std::vector<double> x = {2.0, 2.5, 3.0, 4.0};
  const std::vector<double> y = {11.0, 5.0, 2.0, 1.0};
  EXPECT_EQ(knee_of(x, y), 2U);
}

TEST(KneeOf, IsNoneForStraightFlatOrBackwardCurves) {
  const std::vector<double> x = {0.0, 1.0, 2.0};
  EXPECT_FALSE(knee_of(x, std::vector<double>{2.0, 1.0, 0.0}).has_value());
  EXPECT_FALSE(knee_of(x, std::vector<double>{1.0, 1.0, 1.0}).has_value());
  EXPECT_FALSE(knee_of(x, std::vector<double>{0.0, 0.5, 1.0}).has_value());
  EXPECT_FALSE(knee_of(x, std::vector<double>{2.0, 1.9, 0.0}).has_value());
  EXPECT_FALSE(knee_of(std::vector<double>{1.0, 1.0}, std::vector<double>{1.0, 0.0}).has_value());
}

/// One step of two layers of 50 tokens, 100 assignments; `first` and `second` of them dropped.
CapacityPoint point(double factor, double step_us, std::int64_t first, std::int64_t second) {
  CapacityPoint p;
  p.spec = {.policy = OverflowPolicy::kDrop, .factor = factor};
  p.step_s = {step_us * 1e-6};
  p.dropped_ratio = {static_cast<double>(first) / 100.0, static_cast<double>(second) / 100.0};
  p.assignments = 200;
  p.dropped = first + second;
  p.tokens = 100;
  p.lost_tokens = 5;
  p.accepted_rows = 200 - p.dropped;
  p.dispatch_bytes = 1000;
  return p;
}

CapacityReport three_points() {
  CapacityReport report;
  report.run = small_report();
  report.run.steps.clear();
  report.sweep.dropless = point(1, 140, 0, 0);
  report.sweep.dropless.spec.policy = OverflowPolicy::kNone;
  report.sweep.curves = {{OverflowPolicy::kDrop, CapacityScope::kRank}};
  report.sweep.points = {point(0.5, 100, 60, 40), point(1, 110, 20, 10), point(2, 140, 0, 0)};
  report.sweep.steps = 2;
  report.sweep.steps_done = 1;
  report.sweep.simulated = 3;
  return report;
}

// Drops 50 %, 15 %, 0 %: 10 us for 35 points, then 30 us for 15. 50 tokens a step: 50 / 100 us =
// 500,000 tokens/s, 50 / 110 us = 454,545. Knee: 1 - 10/40 - 15/50 = 0.45 at factor 1.
TEST(CapacityReport, PricesEachPointAndFindsTheKnee) {
  const CapacityReport report = three_points();
  const std::vector<CapacityCurveSummary> curves = summarise(report);
  ASSERT_EQ(curves.size(), 1U);
  const std::vector<CapacitySummary>& points = curves[0].points;
  EXPECT_DOUBLE_EQ(points[0].dropped_mean, 0.5);
  EXPECT_DOUBLE_EQ(points[0].dropped_p99, 0.6);
  EXPECT_FALSE(points[0].price.has_value());
  EXPECT_NEAR(points[1].price.value().seconds, 10e-6 / 35, 1e-15);
  EXPECT_NEAR(points[1].price.value().tokens_per_s, (500'000 - 50 / 110e-6) / 35, 1e-6);
  EXPECT_NEAR(points[2].price.value().seconds, 30e-6 / 15, 1e-15);
  EXPECT_EQ(curves[0].knee, 1U);
  EXPECT_DOUBLE_EQ(points[1].lost_tokens, 0.05);
}

TEST(CapacityReport, SaysItInText) {
  const std::string text = capacity_text(three_points());
  EXPECT_THAT(text,
              HasSubstr("PARTIAL: interrupted after 1 of 2 steps; every point covers those\n"));
  EXPECT_THAT(text, HasSubstr("\ndrop, scope rank\n"));
  EXPECT_THAT(
      text,
      HasSubstr("\n1 *       15.0  20.0       -  5.00   0.00  1.00 kB  110 us  110 us    0.29\n"));
  EXPECT_THAT(text, HasSubstr("\nknee *: factor 1\n"));
}

TEST(CapacityReport, SaysItInCsv) {
  const std::string csv = capacity_csv(three_points());
  EXPECT_THAT(csv, HasSubstr("\nnone,,,0,0,,,0.05,0,0,1000,0,0,"));
  EXPECT_THAT(csv, HasSubstr("\ndrop,rank,0.5,0.5,0.6,,,0.05,0,0,1000,0,0,"));
  EXPECT_THAT(csv, testing::EndsWith(",0\n"));
}

TEST(CapacityReport, DrawsEveryCurveAndMarksTheKnee) {
  CapacityReport report = three_points();
  report.run.scenario = "a<b>&c";
  const std::string svg = capacity_svg(report);
  EXPECT_THAT(svg, HasSubstr("a&lt;b&gt;&amp;c: capacity, 1 of 2 step(s)"));
  EXPECT_THAT(svg, HasSubstr("drop, scope rank"));
  EXPECT_THAT(svg, HasSubstr("r=\"7\""));
  EXPECT_EQ(svg.find("nan"), std::string::npos);
}

}  // namespace
}  // namespace moesim
