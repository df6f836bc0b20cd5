// SPDX-License-Identifier: Apache-2.0
#include "sim/step/evidence.hpp"

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

namespace moesim {
namespace {
using ::testing::ElementsAre;

/// One rank of 4 experts whose step spends 60 us on experts and 40 us on dispatch.
StepModel model_with(const FitRecord& experts) {
  StepModel model;
  model.model.num_experts = 4;
  model.model.hidden_size = 8;
  model.model.expert_width = 4;
  model.ranks = 1;
  model.cluster.gpus.resize(1);
  model.constants.expert_fit = experts;
  return model;
}

StepResult step_of_rows(std::int64_t rows) {
  StepResult step;
  step.parts[static_cast<std::size_t>(Part::kExperts)] = ticks(microseconds(60));
  step.parts[static_cast<std::size_t>(Part::kSender)] = ticks(microseconds(40));
  LayerResult layer;
  layer.rank_tokens = {rows};
  step.layers.push_back(layer);
  return step;
}

FitRecord fit_of_experts() {
  FitRecord fit;
  fit.kernel = "k";
  fit.fitted.points = 5;
  fit.spread_p10 = 0.9;
  fit.spread_p90 = 1.2;
  fit.rows = {10, 100};
  fit.slots = {4, 4};
  fit.hidden = {8, 8};
  fit.width = {4, 4};
  return fit;
}

TEST(Evidence, InsideAllRangesIsInterpolatedAndOneUnfittedPhaseTakesTheBand) {
  const std::vector<StepResult> steps = {step_of_rows(50)};
  const StepEvidence evidence = judge(model_with(fit_of_experts()), steps);
  EXPECT_EQ(evidence.phases[2].grade, Evidence::kInterpolated);
  EXPECT_EQ(evidence.grade, Evidence::kAssumed);  // dispatch was never measured
  EXPECT_FALSE(evidence.band.has_value());
}

TEST(Evidence, OutsideARangeSaysWhichInput) {
  const std::vector<StepResult> steps = {step_of_rows(101)};
  const StepEvidence evidence = judge(model_with(fit_of_experts()), steps);
  EXPECT_EQ(evidence.phases[2].grade, Evidence::kExtrapolated);
  EXPECT_THAT(evidence.phases[2].out,
              ElementsAre("experts: rows on a rank 101; \"k\" was fitted from 10 to 100"));
}

TEST(Evidence, WeightsOfAnotherDtypeAreOutsideTheFit) {
  FitRecord fit = fit_of_experts();
  fit.weight_dtypes = {"fp8", "mxfp4"};
  const std::vector<StepResult> steps = {step_of_rows(50)};
  StepModel model = model_with(fit);
  const StepEvidence bf16 = judge(model, steps);
  EXPECT_EQ(bf16.phases[2].grade, Evidence::kExtrapolated);
  EXPECT_THAT(bf16.phases[2].out,
              ElementsAre("experts: bf16 weights; \"k\" was fitted to fp8, mxfp4"));
  model.model.weight_dtype = Dtype::kFp8;
  EXPECT_EQ(judge(model, steps).phases[2].grade, Evidence::kInterpolated);
}

/// 0.6 x (0.9, 1.2) + 0.4 x (0.8, 1.5) = (0.86, 1.32)
TEST(Evidence, BandAddsTheShares) {
  StepModel model = model_with(fit_of_experts());
  model.constants.communication_fit = fit_of_experts();
  model.constants.communication_fit.spread_p10 = 0.8;
  model.constants.communication_fit.spread_p90 = 1.5;
  const std::vector<StepResult> steps = {step_of_rows(50)};
  const StepEvidence evidence = judge(model, steps);
  ASSERT_TRUE(evidence.band.has_value());
  EXPECT_NEAR(evidence.band->p10, 0.86, 1e-12);
  EXPECT_NEAR(evidence.band->p90, 1.32, 1e-12);
}

}  // namespace
}  // namespace moesim
