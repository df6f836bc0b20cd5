// SPDX-License-Identifier: Apache-2.0
// Median, spread, and when sampling stops.
#include "gpu_ref/measure/statistics.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace moesim::measure {
namespace {

// 1..11: median 6, P10 at position 1 (value 2), P90 at position 9 (value 10).
TEST(Samples, QuantilesOfElevenAreValuesOfTheList) {
  std::vector<double> values(11);
  std::iota(values.begin(), values.end(), 1.0);
  std::swap(values[0], values[10]);
  const SampleSummary summary = summarise_samples(values);
  EXPECT_DOUBLE_EQ(summary.median, 6);
  EXPECT_DOUBLE_EQ(summary.p10, 2);
  EXPECT_DOUBLE_EQ(summary.p90, 10);
}

// Four values: the median lies between the middle two, P10 0.3 of the way from the first.
TEST(Samples, QuantilesBetweenTwoValuesAreLinear) {
  const SampleSummary summary = summarise_samples({4, 1, 2, 3});
  EXPECT_DOUBLE_EQ(summary.median, 2.5);
  EXPECT_DOUBLE_EQ(summary.p10, 1.3);
  EXPECT_DOUBLE_EQ(summary.p90, 3.7);
}

// n = 100: lo = floor(50 - 9.8) = 40, hi = ceil(50 + 9.8) = 60; values 1..100 are 41 and 61, the
// median 50.5: (61 - 41) / (2 * 50.5).
TEST(Noise, IsTheHalfWidthOfTheMediansInterval) {
  std::vector<double> values(100);
  std::iota(values.begin(), values.end(), 1.0);
  EXPECT_DOUBLE_EQ(noise_of_median(values), 20.0 / 101.0);
}

TEST(Noise, OfOneSampleOrOfZerosIsUnknown) {
  EXPECT_TRUE(std::isinf(noise_of_median(std::vector<double>{1.0})));
  EXPECT_TRUE(std::isinf(noise_of_median(std::vector<double>{0.0, 0.0, 0.0})));
  EXPECT_TRUE(std::isinf(noise_of_median({})));
}

TEST(StopRules, NoiseStopsOnlyOnceTheLeastSamplesAreThere) {
  const StopRule rule{.min_samples = 5, .max_samples = 10, .noise_ratio = 0.01, .max_seconds = 1};
  EXPECT_EQ(stop_now(rule, {1, 1, 1, 1}, 9), StopReason::kGoOn);
  EXPECT_EQ(stop_now(rule, {1, 1, 1, 1, 1}, 0), StopReason::kNoise);
  EXPECT_EQ(stop_now(rule, {1, 2, 1, 2, 1}, 0.5), StopReason::kGoOn);
  EXPECT_EQ(stop_now(rule, {1, 2, 1, 2, 1}, 1), StopReason::kTime);
  EXPECT_EQ(stop_now(rule, {1, 2, 1, 2, 1, 2, 1, 2, 1, 2}, 0), StopReason::kSamples);
}

TEST(StopRules, HaveNamesForTheFile) {
  EXPECT_EQ(to_text(StopReason::kNoise), "noise");
  EXPECT_EQ(to_text(StopReason::kSamples), "samples");
  EXPECT_EQ(to_text(StopReason::kTime), "time");
}

}  // namespace
}  // namespace moesim::measure
