// SPDX-License-Identifier: Apache-2.0
// The learned gate as a source: training time goes by with the steps, whoever asks first.
#include "sim/moe/generate/learned_source.hpp"

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <thread>

#include "sim/core/diagnostics.hpp"
#include "sim/moe/traces/skew.hpp"

namespace moesim::generate {
namespace {

SourceShape shape_of(int candidates = 0) {
  return {.num_experts = 32,
          .top_k = 2,
          .layers = 2,
          .ranks = 4,
          .tokens_per_rank = 128,
          .candidates = candidates};
}

LearnedSpec quick() {
  LearnedSpec spec;
  spec.training.tokens = 512;
  return spec;
}

double imbalance(const Routing& routing) {
  return traces::load_skew(expert_load(routing)).max_over_mean;
}

bool operator==(const Routing& a, const Routing& b) {
  return a.experts == b.experts && a.weights == b.weights && a.candidates == b.candidates;
}

TEST(LearnedSource, CollapsesOverItsStepsUnlessBalanced) {
  LearnedSpec spec = quick();
  spec.stride = 20;
  const auto free = open_learned_source(spec, shape_of(), 1);
  EXPECT_LT(imbalance(free->route(0, 0)), 4.0);
  EXPECT_GT(imbalance(free->route(1, 0)), 8.0);
  spec.training.aux_loss = 1.0;
  const auto balanced = open_learned_source(spec, shape_of(), 1);
  EXPECT_LT(imbalance(balanced->route(1, 0)), 3.0);
}

// Step s is routed by the gate after first_step + s * stride training steps.
TEST(LearnedSource, AStepIsAMomentOfTraining) {
  LearnedSpec steps = quick();
  steps.first_step = 3;
  steps.stride = 2;
  GateTrainer trainer(steps.training, 32, 2, 1, 1);
  for (int i = 0; i < 7; ++i) {
    trainer.step();
  }
  const FrozenGate gate = trainer.frozen();
  const Routing routing = open_learned_source(steps, shape_of(), 1)->route(2, 1);
  RngStream kinds(1, "learned kinds", mix_hash(2, 0));
  RngStream rng(1, "learned tokens", mix_hash(mix_hash(2, 0), 1));
  std::vector<double> token(16);
  std::vector<double> scores(32);
  for (std::int32_t t = 0; t < 128; ++t) {
    trainer.draw_token(kinds.below(32), rng, token);
    gate_scores(gate, token, scores);
    const auto best = std::max_element(scores.begin(), scores.end()) - scores.begin();
    EXPECT_EQ(routing.of_token(t)[0], best) << t;
  }
  LearnedSpec standing = quick();  // the same moment for ever: other tokens, the same gate
  standing.first_step = 7;
  standing.stride = 0;
  EXPECT_EQ(open_learned_source(standing, shape_of(), 1)->route(2, 1).experts, routing.experts);
}

TEST(LearnedSource, AnyOrderAndAnyThreadGiveTheSame) {
  const auto source = open_learned_source(quick(), shape_of(3), 7);
  const auto other = open_learned_source(quick(), shape_of(3), 7);
  Routing late;
  std::thread thread([&] { late = source->route(4, 1); });
  const Routing early = source->route(0, 1);
  thread.join();
  EXPECT_TRUE(other->route(0, 1) == early);
  EXPECT_TRUE(other->route(4, 1) == late);
  EXPECT_TRUE(other->route(4, 1) == late);
  EXPECT_FALSE(open_learned_source(quick(), shape_of(3), 8)->route(0, 1) == early);
}

TEST(LearnedSource, WeightsAreTheSoftmaxOfTheScores) {
  LearnedSpec spec = quick();
  spec.training.noise = 0.5;
  const Routing chosen = open_learned_source(spec, shape_of(), 1)->route(0, 0);
  spec.gate_weights = GateWeights::kAll;
  const Routing all = open_learned_source(spec, shape_of(30), 1)->route(0, 0);
  EXPECT_EQ(chosen.experts, all.experts);
  for (std::size_t t = 0; t < 512; ++t) {
    const double of_two = double{all.weights[2 * t]} + all.weights[2 * t + 1];
    EXPECT_NEAR(chosen.weights[2 * t] + chosen.weights[2 * t + 1], 1.0, 1e-6);
    EXPECT_NEAR(all.weights[2 * t] / of_two, chosen.weights[2 * t], 1e-5);
    const auto rest = all.candidate_weights.begin() + static_cast<std::ptrdiff_t>(30 * t);
    EXPECT_NEAR(std::accumulate(rest, rest + 30, of_two), 1.0, 1e-5);
  }
  spec.gate_weights = GateWeights::kNone;
  EXPECT_FALSE(open_learned_source(spec, shape_of(), 1)->route(0, 0).has_weights());
}

TEST(LearnedSource, SaysWhatItIs) {
  LearnedSpec spec = quick();
  spec.first_step = 10;
  const auto bare = open_learned_source(spec, shape_of(), 1);
  EXPECT_EQ(bare->info().origin, "learned");
  EXPECT_EQ(bare->info().draw,
            "a gate trained on made-up tokens, nothing balances it; 10 training steps before the "
            "first step, 1 from one to the next");
  EXPECT_TRUE(bare->info().slots_by_weight);
  spec.training.aux_loss = 0.01;
  spec.training.z_loss = 0.001;
  spec.training.noise = 1;
  spec.training.bias_rate = 0.3;
  spec.training.reset_after = 5;
  const auto held = open_learned_source(spec, shape_of(), 1);
  EXPECT_EQ(held->info().draw,
            "a gate trained on made-up tokens, auxiliary loss 0.01, z-loss 0.001, noise 1, bias "
            "rate 0.3, reset of experts dead for 5 steps; 10 training steps before the first step, "
            "1 from one to the next");
  EXPECT_FALSE(held->info().slots_by_weight);
}

TEST(LearnedSource, ATrainingThatDivergesIsRefused) {
  LearnedSpec spec = quick();
  spec.first_step = 50;
  spec.training.z_loss = 1000.0;
  spec.training.learning_rate = 1000.0;
  const auto source = open_learned_source(spec, shape_of(), 1);
  EXPECT_THROW((void)source->route(0, 0), UserError);
  try {
    (void)source->route(0, 0);
  } catch (const UserError& error) {
    EXPECT_STREQ(error.what(),
                 "error: the gate's training diverges: lower the learning rate or the weights of "
                 "the losses");
  }
}

}  // namespace
}  // namespace moesim::generate
