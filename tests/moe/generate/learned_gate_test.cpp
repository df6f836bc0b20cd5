// SPDX-License-Identifier: Apache-2.0
// A learned gate collapses when nothing balances it, and each cure keeps it from that.
#include "sim/moe/generate/learned_gate.hpp"

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include <numeric>

#include "sim/moe/traces/skew.hpp"

namespace moesim::generate {
namespace {

GateSpec small() {
  GateSpec spec;
  spec.layers = 2;
  spec.training.tokens = 512;
  spec.steps = 60;
  return spec;
}

/// max/mean of a step's load, mean over the layers.
double imbalance(const traces::RoutePack& pack, std::size_t step) {
  double sum = 0.0;
  const auto layers = static_cast<std::size_t>(pack.header.layers);
  for (std::size_t layer = 0; layer < layers; ++layer) {
    sum += traces::load_skew(traces::step_counts(pack, step, layer)).max_over_mean;
  }
  return sum / static_cast<double>(layers);
}

TEST(LearnedGate, CollapsesWithinTensOfStepsAsAnUnbalancedTrainingDoes) {
  // SmartMoE artifact, GPT-style MoE, 32 experts, top-2, no balancing: max/mean 1.5 at iteration 1,
  // 15.8 at iteration 11 (all tokens at two experts would be 16), later median 8 to 15 with 16 to
  // 25 of 32 experts nearly idle.
  const traces::RoutePack pack = train_gate(small(), 1);
  EXPECT_LT(imbalance(pack, 0), 2.5);
  EXPECT_GT(imbalance(pack, 10), 8.0);
  EXPECT_GT(imbalance(pack, 59), 8.0);
  EXPECT_GE(traces::load_skew(traces::step_counts(pack, 59, 0)).cold, 16.0);
}

TEST(LearnedGate, EachCureKeepsItBalanced) {
  GateSpec aux = small();
  aux.training.aux_loss = 1.0;
  EXPECT_LT(imbalance(train_gate(aux, 1), 59), 2.5);
  GateSpec bias = small();
  bias.training.bias_rate = 0.3;
  EXPECT_LT(imbalance(train_gate(bias, 1), 59), 2.5);
  GateSpec noise = small();
  noise.training.noise = 3.0;
  EXPECT_LT(imbalance(train_gate(noise, 1), 20), 2.5);
  GateSpec choice = small();
  choice.training.expert_choice = true;
  EXPECT_EQ(imbalance(train_gate(choice, 1), 59), 1.0);
}

TEST(LearnedGate, ZLossAndResetsAloneAreNoCure) {
  GateSpec held = small();
  held.training.z_loss = 0.1;
  EXPECT_GT(imbalance(train_gate(held, 1), 59), 6.0);
  GateSpec reset = small();
  reset.training.reset_after = 5;
  const traces::RoutePack woken = train_gate(reset, 1);
  EXPECT_GT(imbalance(woken, 59), 6.0);
  EXPECT_NE(traces::step_counts(woken, 59, 0), traces::step_counts(train_gate(small(), 1), 59, 0));
}

TEST(LearnedGate, EveryStepHasAllAssignmentsAndTheSameSeedTheSameOnes) {
  const GateSpec spec = small();
  const traces::RoutePack pack = train_gate(spec, 3);
  for (std::size_t step = 0; step < 60; ++step) {
    const std::vector<std::int64_t> load = traces::step_counts(pack, step, 1);
    EXPECT_EQ(std::accumulate(load.begin(), load.end(), std::int64_t{0}), 1024);
  }
  EXPECT_EQ(traces::step_counts(train_gate(spec, 3), 59, 1), traces::step_counts(pack, 59, 1));
  EXPECT_NE(traces::step_counts(train_gate(spec, 4), 59, 1), traces::step_counts(pack, 59, 1));
}

}  // namespace
}  // namespace moesim::generate
