// SPDX-License-Identifier: Apache-2.0
// Fits of points that known constants made.
#include "sim/calibrate/fit.hpp"

#include <fmt/core.h>
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include "hardware.hpp"
#include "sim/calibrate/calibration_file.hpp"
#include "sim/calibrate/predict_experts.hpp"

namespace moesim::calibrate {
namespace {
using ::testing::DoubleNear;
using ::testing::HasSubstr;
using testing::ideal_constants;
using testing::small_spec;

CostConstants truth() {
  CostConstants c = ideal_constants();
  c.kernel_launch = microseconds(4);
  c.gemm_efficiency = 0.6;
  c.memory_efficiency = 0.75;
  c.gemm_overlap = 0.7;
  c.tile_fetch_share = 0.4;
  return c;
}

/// Experts of 2 EP degrees over 12 sizes, as `made_by` has them, the n-th off by `error`(n).
std::vector<Point> points_of(const CostConstants& made_by, double (*error)(int)) {
  std::vector<Point> points;
  for (const int slots : {2, 8}) {
    for (int i = 0; i < 12; ++i) {
      const std::int64_t rows = std::int64_t{1} << i;
      ExpertWork work{.gpu = small_spec().gpu,
                      .model = operator_shape(2048, 1024, 16, 2, true),
                      .loads = {std::vector<std::int64_t>(static_cast<std::size_t>(slots), rows)}};
      Point point;
      point.kernel = "toy";
      point.ep = 16 / slots;
      point.size = static_cast<double>(rows);
      point.shape = "toy";
      point.place = fmt::format("toy.csv:{}", points.size() + 2);
      point.label = fmt::format("{} x {}", slots, rows);
      point.source = "a test";
      point.rows = static_cast<double>(rows * slots);
      point.slots = slots;
      point.hidden = 2048;
      point.width = 1024;
      point.weights = "fp8";
      point.predict = [work](const CostConstants& c) { return predict_experts(work, c); };
      point.measured = point.predict(made_by) * error(static_cast<int>(points.size()));
      points.push_back(std::move(point));
    }
  }
  return points;
}

TEST(Fit, FindsTheConstantsThatMadeThePoints) {
  const std::vector<Point> points = points_of(truth(), [](int) { return 1.0; });
  const Fitted fit = fit_constants(points, ideal_constants());
  EXPECT_THAT(fit.constants.kernel_launch.value, DoubleNear(4e-6, 4e-8));
  EXPECT_THAT(fit.constants.gemm_efficiency, DoubleNear(0.6, 0.01));
  EXPECT_THAT(fit.constants.memory_efficiency, DoubleNear(0.75, 0.01));
  EXPECT_THAT(fit.constants.gemm_overlap, DoubleNear(0.7, 0.05));
  EXPECT_THAT(fit.constants.tile_fetch_share, DoubleNear(0.4, 0.05));
  EXPECT_EQ(fit.constants.tile_rows, 128);
}

/// One time of eight is three times too long; the others are still met.
TEST(Fit, IsNotPulledByAnOutlier) {
  const std::vector<Point> points =
      points_of(truth(), [](int i) { return i % 8 == 5 ? 3.0 : 1.0; });
  const Fitted fit = fit_constants(points, ideal_constants());
  for (std::size_t i = 0; i < points.size(); ++i) {
    const double ratio = points[i].predict(fit.constants) / points[i].measured;
    if (i % 8 != 5) {
      EXPECT_NEAR(ratio, 1, 0.15) << points[i].label;
    } else {
      EXPECT_LT(ratio, 0.5) << points[i].label;
    }
  }
}

TEST(Calibration, OfPerfectPointsHasNoErrorAndCoversThem) {
  const std::vector<std::vector<Point>> points = {points_of(truth(), [](int) { return 1.0; })};
  const std::vector<KernelFit> fits = calibrate(points, ideal_constants());
  ASSERT_EQ(fits.size(), 1U);
  const FitRecord& record = fits[0].record;
  EXPECT_EQ(fits[0].folds,
            (std::vector<std::string>{
                "EP 2", "EP 8", "sizes 1 of 4", "sizes 2 of 4", "sizes 3 of 4", "sizes 4 of 4"}));
  EXPECT_EQ(record.fitted.points, 24);
  EXPECT_EQ(record.left_out.points, 48);  // each point in one EP fold and one size fold
  EXPECT_LT(record.left_out.p90, 0.03);
  EXPECT_NEAR(record.spread_p10, 1, 0.03);
  EXPECT_EQ(record.rows.min, 2);
  EXPECT_EQ(record.rows.max, 8 * 2048);
  EXPECT_EQ(record.width.max, 1024);
}

/// +10 % and -10 %: predictions in the middle miss by 10 % either way.
TEST(Calibration, SpreadIsThatOfTheMeasurements) {
  const std::vector<std::vector<Point>> points = {
      points_of(truth(), [](int i) { return i % 4 == 0 || i % 4 == 3 ? 1.1 : 0.9; })};
  const FitRecord record = calibrate(points, ideal_constants())[0].record;
  EXPECT_GT(record.fitted.median, 0.04);
  EXPECT_LT(record.fitted.median, 0.14);
  EXPECT_LT(record.spread_p10, 0.95);
  EXPECT_GT(record.spread_p90, 1.05);
}

TEST(Errors, AreNearestRankPercentiles) {
  const FitErrors errors = errors_of({1.3, 0.9, 1.0, 1.1});
  EXPECT_EQ(errors.points, 4);
  EXPECT_DOUBLE_EQ(errors.bias, 0.0);  // second of 0.9, 1.0, 1.1, 1.3
  EXPECT_NEAR(errors.median, 0.1, 1e-12);
  EXPECT_NEAR(errors.p90, 0.3, 1e-12);
  EXPECT_EQ(errors_of({}).points, 0);
}

TEST(CalibrationFile, HoldsConstantsErrorsAndRangesOfEachKernel) {
  const std::vector<std::vector<Point>> points = {points_of(truth(), [](int) { return 1.0; })};
  const std::vector<KernelFit> fits = calibrate(points, ideal_constants());
  const std::string text = calibration_toml({"T1", "moesim calibrate toy.csv"}, fits);
  EXPECT_THAT(text, HasSubstr("# Written by: moesim calibrate toy.csv\n"));
  EXPECT_THAT(text, HasSubstr("source = \"fitted to measurements of T1\"\n"));
  EXPECT_THAT(text, HasSubstr("\n[experts.toy]\nkernel_launch = \""));
  EXPECT_THAT(text, HasSubstr("\n[experts.toy.fit]\nsource = \"a test\"\nfitted_points = 24\n"));
  EXPECT_THAT(text, HasSubstr("\nrows_min = 2\nrows_max = 16384\n"));
  EXPECT_THAT(text, HasSubstr("\nweight_dtypes = [\"fp8\"]\n"));
  const std::string csv = points_csv(fits);
  EXPECT_THAT(csv, HasSubstr("kernel,place,label,set,measured_s,predicted_s,error_ratio\n"));
  EXPECT_THAT(csv, HasSubstr("toy,toy.csv:2,2 x 1,left out: EP 8,"));
}

}  // namespace
}  // namespace moesim::calibrate
