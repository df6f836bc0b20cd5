// SPDX-License-Identifier: Apache-2.0
// Gate weights and candidates of generated choices.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <vector>

#include "sim/moe/generate/generated_source.hpp"
#include "sim/moe/generate/generator.hpp"

namespace moesim::generate {
namespace {

GeneratorSpec correlated() {
  GeneratorSpec spec;
  spec.popularity_sigma = 0.5;
  spec.request_sigma = 0.5;
  spec.token_sigma = 2.0;
  spec.token_correlation = 0.8;
  spec.request_tokens = 256;
  return spec;
}

/// Choices of 200 tokens with their weights.
struct Weighed {
  std::vector<ExpertIndex> experts;
  std::vector<float> weights;
};
Weighed weighed(const GeneratorSpec& spec, int experts, int top_k, int per_token) {
  const Generator generator(spec, experts, top_k, 1);
  Weighed out;
  out.experts.resize(static_cast<std::size_t>(200 * per_token));
  out.weights.resize(out.experts.size());
  generator.choose({},
                   0,
                   generator.popularity(0, 0),
                   0,
                   {.experts = out.experts, .weights = out.weights, .per_token = per_token});
  return out;
}

TEST(GateWeights, OfTheChosenSumToOneAndDescend) {
  const Weighed all = weighed(correlated(), 32, 4, 7);
  for (std::size_t token = 0; token < 200; ++token) {
    const float* const w = &all.weights[token * 7];
    EXPECT_NEAR(std::accumulate(w, w + 4, 0.0), 1.0, 1e-6);
    EXPECT_TRUE(std::is_sorted(w, w + 7, std::greater<>()));
    EXPECT_GT(w[6], 0.0F);  // of a candidate, by the same divisor
  }
}

TEST(GateWeights, OfAllExpertsSumToOneOverTheLayer) {
  GeneratorSpec spec = correlated();
  spec.gate_weights = GateWeights::kAll;
  const Weighed whole = weighed(spec, 32, 4, 32);
  const Weighed few = weighed(spec, 32, 4, 4);
  for (std::size_t token = 0; token < 200; ++token) {
    const float* const w = &whole.weights[token * 32];
    EXPECT_NEAR(std::accumulate(w, w + 32, 0.0), 1.0, 1e-6);
    EXPECT_TRUE(std::equal(w, w + 4, &few.weights[token * 4]));
  }
}

// The ratio of two weights is e^(scale * difference of the scores), so at twice the scale it is its
// own square; scale 0 weighs all alike.
TEST(GateWeights, TheScaleIsAnExponent) {
  GeneratorSpec spec = correlated();
  const Weighed once = weighed(spec, 16, 2, 2);
  spec.weight_scale = 1.0;
  const Weighed twice = weighed(spec, 16, 2, 2);
  EXPECT_EQ(once.experts, twice.experts);
  for (std::size_t i = 0; i < once.weights.size(); i += 2) {
    const double ratio = double{once.weights[i]} / once.weights[i + 1];
    EXPECT_NEAR(double{twice.weights[i]} / twice.weights[i + 1] / (ratio * ratio), 1.0, 1e-3);
  }
  spec.weight_scale = 0.0;
  for (const float weight : weighed(spec, 16, 2, 2).weights) {
    EXPECT_FLOAT_EQ(weight, 0.5F);
  }
}

TEST(GateWeights, CandidatesAreTheNextChoices) {
  const Weighed narrow = weighed(correlated(), 32, 3, 3);
  const Weighed wide = weighed(correlated(), 32, 5, 5);
  const Weighed told = weighed(correlated(), 32, 3, 5);
  EXPECT_EQ(told.experts, wide.experts);
  for (std::size_t token = 0; token < 200; ++token) {
    for (std::size_t slot = 0; slot < 3; ++slot) {
      EXPECT_EQ(told.experts[token * 5 + slot], narrow.experts[token * 3 + slot]);
      EXPECT_EQ(told.weights[token * 5 + slot], narrow.weights[token * 3 + slot]);
    }
  }
}

TEST(GateWeights, AHotExpertTakesAllOfThem) {
  GeneratorSpec spec;
  spec.kind = GeneratorKind::kOneHot;
  const Weighed hot = weighed(spec, 8, 2, 2);
  EXPECT_EQ(hot.weights[0], 1.0F);
  EXPECT_EQ(hot.weights[1], 0.0F);
}

TEST(GeneratedSource, HandsOnWeightsAndCandidates) {
  GeneratorSpec spec = correlated();
  const SourceShape shape{.num_experts = 16,
                          .top_k = 2,
                          .layers = 1,
                          .ranks = 2,
                          .tokens_per_rank = 3,
                          .candidates = 4};
  const Routing told = open_generated_source(spec, shape, TraceDraw::kTokens, 9)->route(1, 0);
  EXPECT_EQ(told.num_candidates, 4);
  EXPECT_EQ(told.candidates.size(), 24U);
  EXPECT_EQ(told.candidate_weights.size(), 24U);
  EXPECT_EQ(told.weights.size(), 12U);
  SourceShape bare = shape;
  bare.candidates = 0;
  const auto source = open_generated_source(spec, bare, TraceDraw::kTokens, 9);
  const Routing same = source->route(1, 0);
  EXPECT_EQ(same.experts, told.experts);
  EXPECT_EQ(same.weights, told.weights);
  EXPECT_TRUE(source->info().has_weights);
  EXPECT_TRUE(source->info().slots_by_weight);
  spec.gate_weights = GateWeights::kNone;
  const auto without = open_generated_source(spec, shape, TraceDraw::kTokens, 9);
  EXPECT_FALSE(without->info().has_weights);
  EXPECT_FALSE(without->route(1, 0).has_weights());
  EXPECT_EQ(without->route(1, 0).candidates, told.candidates);
}

}  // namespace
}  // namespace moesim::generate
