// SPDX-License-Identifier: Apache-2.0
// Differences of two runs and the noise they must beat, by hand.
#include "sim/report/compare_report.hpp"

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>

#include "tests/report/small_report.hpp"

namespace moesim {
namespace {

using nlohmann::json;
using testing::HasSubstr;

/// The small report with one layer of that makespan in each of its two steps.
RunReport report_of(std::uint64_t seed, std::int64_t makespan_us) {
  RunReport report = small_report();
  report.seed = seed;
  for (StepResult& step : report.steps) {
    step.makespan = SimTime{makespan_us * 1'000'000};
    step.layers[0].last_finish = step.makespan;
    step.parts[static_cast<std::size_t>(Part::kExperts)] = SimTime{(makespan_us - 10) * 1'000'000};
    step.layers[0].parts = step.parts;
  }
  return report;
}

// Changes of -4, -6, -5 us: mean -5, sd 1, t(0.975, 2) = 4.303, half width 4.303 / sqrt(3) = 2.484.
TEST(Compare, AChangeBeyondTheSpreadOfSeedsStandsOut) {
  const std::vector<RunReport> a = {report_of(1, 30), report_of(2, 34), report_of(3, 32)};
  const std::vector<RunReport> b = {report_of(1, 26), report_of(2, 28), report_of(3, 27)};
  const Comparison c = compare(a, b);
  EXPECT_THAT(c.seeds, testing::ElementsAre(1, 2, 3));
  EXPECT_NEAR(c.step.a, 32e-6, 1e-15);
  EXPECT_NEAR(c.step.b, 27e-6, 1e-15);
  EXPECT_NEAR(c.step.half_width, 2.484e-6, 1e-9);
  EXPECT_FALSE(c.step.is_none());
  const json document = json::parse(compare_json(c));
  EXPECT_EQ(document["step"]["verdict"], "less");
  EXPECT_THAT(compare_text(c),
              HasSubstr("step, mean      32.0 us  27.0 us  -5.00 us  2.48 us     -15.6 %\n"));
}

// INV-7 carries over: the parts sum to the step on both sides, so their changes sum to its change.
TEST(Compare, ChangesOfThePartsSumToThatOfTheStep) {
  const std::vector<RunReport> a = {report_of(1, 30), report_of(2, 50)};
  const std::vector<RunReport> b = {report_of(1, 45), report_of(2, 41)};
  const Comparison c = compare(a, b);
  double sum = 0.0;
  for (const Difference& part : c.parts) {
    sum += part.change();
  }
  EXPECT_NEAR(sum, c.step.change(), 1e-15);
  ASSERT_EQ(c.layers.size(), 1U);
  EXPECT_NEAR(c.layers[0].change(), 3e-6, 1e-15);
}

// Changes of +15 and -9 us: the mean of 3 is far within the spread.
TEST(Compare, AChangeWithinTheSpreadOfSeedsIsNone) {
  const std::vector<RunReport> a = {report_of(1, 30), report_of(2, 50)};
  const std::vector<RunReport> b = {report_of(1, 45), report_of(2, 41)};
  const Comparison c = compare(a, b);
  EXPECT_TRUE(c.step.is_none());
  EXPECT_EQ(json::parse(compare_json(c))["step"]["verdict"], "none");
  EXPECT_THAT(compare_csv(c), HasSubstr(",none\nlayer 0,s,"));
}

TEST(Compare, OneSeedKnowsNoNoise) {
  const std::vector<RunReport> a = {report_of(1, 30)};
  const std::vector<RunReport> b = {report_of(1, 45)};
  const Comparison c = compare(a, b);
  EXPECT_TRUE(std::isinf(c.step.half_width));
  EXPECT_TRUE(c.step.is_none());
  EXPECT_TRUE(json::parse(compare_json(c))["step"]["half_width_s"].is_null());
  EXPECT_THAT(compare_text(c),
              HasSubstr("noise: unknown with one seed, so every difference is called none\n"));
}

TEST(Compare, NamesTheKeysThatDifferAndThoseOfOneSide) {
  const std::vector<ChangedKey> keys =
      changed_keys("seed = 1\n\n[batch]\nsteps = 4\ntokens = 8\n\n[dispatch]\nkind = \"a\"\n",
                   "seed = 1\n\n[batch]\nsteps = 6\ntokens = 8\n\n[network]\nkind = \"a\"\n");
  ASSERT_EQ(keys.size(), 3U);
  EXPECT_EQ(keys[0].key, "batch.steps");
  EXPECT_EQ(keys[0].a, "4");
  EXPECT_EQ(keys[0].b, "6");
  EXPECT_EQ(keys[1].key, "dispatch.kind");
  EXPECT_EQ(keys[1].b, "");
  EXPECT_EQ(keys[2].key, "network.kind");
  EXPECT_EQ(keys[2].a, "");
}

TEST(Compare, SaysWhenLayersHaveNoCounterpart) {
  std::vector<RunReport> a = {report_of(1, 30)};
  const std::vector<RunReport> b = a;
  for (StepResult& step : a[0].steps) {
    step.layers.push_back(step.layers[0]);
  }
  EXPECT_THAT(compare_text(compare(a, b)),
              HasSubstr("note: A has 2 MoE layers and B has 1; the first 1 are aligned\n"));
}

}  // namespace
}  // namespace moesim
