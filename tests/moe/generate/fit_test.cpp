// SPDX-License-Identifier: Apache-2.0
// A fit finds parameters that were put in, and says what it could not see.
#include "sim/moe/generate/fit.hpp"

#include <gmock/gmock-more-matchers.h>
#include <gtest/gtest.h>

#include "sim/moe/generate/generated_source.hpp"

namespace moesim::generate {
namespace {

GeneratorSpec known() {
  GeneratorSpec spec;
  spec.popularity_sigma = 0.8;
  spec.domain_sigma = 0.6;
  spec.request_sigma = 0.7;
  spec.token_sigma = 1.2;
  spec.token_correlation = 0.7;
  spec.domains = 4;
  spec.request_tokens = 128;
  spec.gate_weights = GateWeights::kAll;
  spec.weight_scale = 0.8;
  return spec;
}

traces::RoutePack pack_of(const GeneratorSpec& spec, int requests) {
  return generate_pack(spec,
                       {.num_experts = 32,
                        .top_k = 4,
                        .layers = 24,
                        .sequences = generated_sequences(spec, requests)},
                       77);
}

TEST(FitGenerator, FindsTheParametersOfAGeneratedPack) {
  const FitResult fit = fit_generator(pack_of(known(), 60), 1);
  // Medians over 24 layers of 32 experts leave the sigmas about 10 % of chance.
  EXPECT_NEAR(fit.spec.popularity_sigma, 0.8, 0.15);
  EXPECT_NEAR(fit.spec.domain_sigma, 0.6, 0.15);
  EXPECT_NEAR(fit.spec.request_sigma, 0.7, 0.2);
  EXPECT_NEAR(fit.spec.token_sigma, 1.2, 0.25);
  EXPECT_NEAR(fit.spec.token_correlation, 0.7, 0.1);
  EXPECT_EQ(fit.spec.gate_weights, GateWeights::kAll);
  EXPECT_NEAR(fit.spec.weight_scale, 0.8, 0.03);
  EXPECT_EQ(fit.spec.experts, 32);
  EXPECT_EQ(fit.spec.top_k, 4);
  EXPECT_EQ(fit.spec.layers, 24);
  EXPECT_EQ(fit.spec.domains, 4);
  EXPECT_EQ(fit.spec.request_tokens, 128);
  EXPECT_THAT(fit.notes, testing::IsEmpty());
  for (const FitRow& row : fit.rows) {
    const double tolerance = row.is_target ? 0.05 : 0.2;
    EXPECT_NEAR(row.generated, row.recorded, tolerance * row.recorded) << row.part << row.quantity;
  }
}

TEST(FitGenerator, WithoutGateWeightsTheirScaleIsAssumed) {
  GeneratorSpec spec = known();
  spec.gate_weights = GateWeights::kNone;
  const FitResult fit = fit_generator(pack_of(spec, 12), 1);
  EXPECT_EQ(fit.spec.gate_weights, GateWeights::kChosen);
  EXPECT_EQ(fit.spec.weight_scale, GeneratorSpec{}.weight_scale);
  EXPECT_THAT(fit.notes,
              testing::Contains("no gate weights to fit weight_scale to: it is assumed"));
}

}  // namespace
}  // namespace moesim::generate
