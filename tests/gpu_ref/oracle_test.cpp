// SPDX-License-Identifier: Apache-2.0
// The CPU oracle against numbers worked out by hand.
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include <cmath>

#include "gpu_ref/oracle/layer.hpp"
#include "tests/gpu_ref/support.hpp"

namespace moesim::gpu_ref::oracle {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;

Matrix matrix(std::int64_t columns, std::vector<double> values) {
  Matrix out(static_cast<std::int64_t>(values.size()) / columns, columns);
  out.values = std::move(values);
  return out;
}

/// Logits ln 1, ln 2, ln 5: probabilities 1/8, 2/8, 5/8.
TEST(OracleGate, SoftmaxTopTwoByHand) {
  GateSpec gate;
  const Matrix logits = matrix(3, {0.0, std::log(2.0), std::log(5.0)});
  Choice choice = choose(logits, {}, gate, 2);
  EXPECT_THAT(choice.experts, ElementsAre(2, 1));
  EXPECT_THAT(choice.weights, ElementsAre(DoubleNear(0.625, 1e-15), DoubleNear(0.25, 1e-15)));
  EXPECT_NEAR(choice.normaliser[0], std::log(8.0), 1e-15);
  gate.renormalise = true;
  gate.scale = 7.0F;
  choice = choose(logits, {}, gate, 2);
  EXPECT_THAT(choice.weights, ElementsAre(DoubleNear(5.0, 1e-14), DoubleNear(2.0, 1e-14)));
}

/// Four groups of two. Scores sigmoid(0) = 1/2 everywhere but for the biases: the best single
/// choice is in group 0 (0.9 with 0.1 beside it: 1.0), yet groups 1 (0.6 + 0.6) and 3 (0.7 + 0.5)
/// score 1.2 each.
TEST(OracleGate, GroupsCountTheirTwoBestAndBiasNeverEntersTheWeight) {
  GateSpec gate;
  gate.kind = GateKind::kSigmoidGroupTopK;
  gate.groups = 4;
  gate.groups_kept = 2;
  gate.renormalise = true;
  gate.scale = 2.5F;
  const std::vector<double> bias = {0.4, -0.4, 0.1, 0.1, 0.0, 0.05, 0.2, 0.0};
  const Choice choice = choose(matrix(8, std::vector<double>(8, 0.0)), bias, gate, 3);
  EXPECT_THAT(choice.experts, ElementsAre(6, 2, 3));
  for (const double weight : choice.weights) {
    EXPECT_NEAR(weight, 2.5 / 3, 1e-15);
  }
  EXPECT_TRUE(std::isinf(choice.choice.at(0, 0)));
  EXPECT_DOUBLE_EQ(choice.normaliser[0], 4.0);
}

/// Balanced over E experts, the auxiliary loss is alpha; all on one expert with certainty, alpha *
/// E.
TEST(OracleGate, AuxiliaryLossIsAlphaWhenBalancedAndAlphaTimesEAtCollapse) {
  GateSpec gate;
  gate.aux_loss_factor = 0.25F;
  gate.z_loss_factor = 2.0F;
  const Choice even = choose(matrix(4, std::vector<double>(16, 0.0)), {}, gate, 1);
  EXPECT_NEAR(losses_of(even, std::vector<std::int32_t>{1, 1, 1, 1}, gate).auxiliary, 0.25, 1e-15);
  // log-sum-exp of four zeros is ln 4.
  EXPECT_NEAR(losses_of(even, std::vector<std::int32_t>{1, 1, 1, 1}, gate).z,
              2.0 * std::log(4.0) * std::log(4.0),
              1e-14);
  const Choice sure = choose(matrix(4, {100, 0, 0, 0, 100, 0, 0, 0}), {}, gate, 1);
  EXPECT_NEAR(losses_of(sure, std::vector<std::int32_t>{2, 0, 0, 0}, gate).auxiliary, 1.0, 1e-12);
}

/// Three tokens want expert 0 of capacity 1, then 1 (capacity 1); the third finds only 2.
TEST(OracleGate, OverflowIsDivertedInRounds) {
  const Matrix choice = matrix(3, {3, 2, 1, 3, 2, 1, 3, 2, 1});
  std::vector<std::int32_t> experts = {0, 0, 0};
  divert(experts, choice, 1, 1);
  EXPECT_THAT(experts, ElementsAre(0, 1, 2));
  // First choices come before diverted ones: token 1's own expert 1 is not taken by token 0's
  // overflow.
  experts = {0, 0, 1};
  divert(experts, choice, 1, 1);
  EXPECT_THAT(experts, ElementsAre(0, 2, 1));
  // Two slots a token, two experts, room for one each: the second token has nowhere to go.
  experts = {0, 1, 1, 0};
  divert(experts, matrix(2, {2, 1, 1, 2}), 2, 1);
  EXPECT_THAT(experts, ElementsAre(0, 1, -1, -1));
}

/// silu(1) = 1 / (1 + e^-1) = 0.731058578630005; times 3.
TEST(OracleExperts, SwigluByHand) {
  const Matrix out = swiglu(matrix(2, {1.0, 3.0, 0.0, 5.0}));
  EXPECT_NEAR(out.at(0, 0), 3 * 0.73105857863000490, 1e-15);
  EXPECT_EQ(out.at(1, 0), 0.0);
  // At g = 0: d silu = 1/2, so d_gate = u / 2 and d_up = silu(0) = 0.
  const Matrix slope = swiglu_backward(matrix(2, {0.0, 5.0}), matrix(1, {2.0}));
  EXPECT_NEAR(slope.at(0, 0), 5.0, 1e-15);
  EXPECT_EQ(slope.at(0, 1), 0.0);
}

/// One token, two experts of width 1, gate certain of expert 1: out = w * down * silu(g x) * (u x).
TEST(OracleLayer, OneTokenByHand) {
  LayerSpec spec;
  spec.shape = {.hidden = 1, .expert_width = 1, .num_experts = 2, .top_k = 1, .shared_width = 1};
  LayerWeights weights;
  weights.gate = matrix(1, {0.0, std::log(3.0)});  // probabilities 1/4, 3/4 at x = 1
  weights.experts = {{matrix(1, {9, 9}), matrix(1, {9})}, {matrix(1, {1, 3}), matrix(1, {2})}};
  weights.shared = {matrix(1, {1, 1}), matrix(1, {10})};
  const LayerPass pass = run_layer(spec, weights, {matrix(1, {1.0}), {0, 1}, {}, {}});
  constexpr double kSilu = 0.73105857863000490;
  EXPECT_THAT(pass.experts, ElementsAre(1));
  EXPECT_NEAR(pass.out.at(0, 0), 0.75 * 2 * kSilu * 3 + 10 * kSilu, 1e-14);
}

TEST(OracleLayer, DroppedAssignmentsLeaveTheOutputAndItsGradient) {
  LayerSpec spec;
  spec.shape = {.hidden = 4, .expert_width = 3, .num_experts = 2, .top_k = 1};
  spec.capacity = {.overflow = Overflow::kDrop, .factor = 1.0};
  const auto values = [](std::size_t count, const char* name) {
    return to_double(gpu_ref::testing::random_floats(count, name));
  };
  LayerWeights weights;
  weights.gate = matrix(4, values(8, "gate"));
  for (int e = 0; e < 2; ++e) {
    weights.experts.push_back({matrix(4, values(24, "up")), matrix(3, values(12, "down"))});
  }
  const LayerTokens tokens{matrix(4, values(16, "x")), {0, 4}, {0, 0, 0, 1}, {1, 1, 1, 1}};
  const LayerPass pass = run_layer(spec, weights, tokens);
  EXPECT_THAT(pass.keep, ElementsAre(1, 1, 0, 1));  // capacity ceil(1.0 * 4 / 2) = 2
  const LayerGradients slopes =
      layer_backward(spec, weights, tokens, pass, matrix(4, values(16, "d_out")));
  for (int h = 0; h < 4; ++h) {
    EXPECT_EQ(pass.out.at(2, h), 0.0);
    EXPECT_EQ(slopes.x.at(2, h), 0.0);
    EXPECT_NE(slopes.x.at(3, h), 0.0);
  }
}

/// Relabelling experts together with the gate's rows and the weights changes nothing in the output.
TEST(OracleLayer, RelabellingExpertsChangesNothing) {
  LayerSpec spec;
  spec.shape = {.hidden = 8, .expert_width = 8, .num_experts = 4, .top_k = 2};
  const auto values = [](std::size_t count, const std::string& name) {
    return to_double(gpu_ref::testing::random_floats(count, name));
  };
  LayerWeights weights;
  weights.gate = matrix(8, values(32, "gate"));
  LayerWeights relabelled;
  relabelled.gate = Matrix(4, 8);
  relabelled.experts.resize(4);
  const std::vector<std::int64_t> label = {2, 0, 3, 1};
  for (std::int64_t e = 0; e < 4; ++e) {
    const std::string name = std::to_string(e);
    weights.experts.push_back(
        {matrix(8, values(128, "up" + name)), matrix(8, values(64, "down" + name))});
    const std::int64_t to = label[static_cast<std::size_t>(e)];
    relabelled.experts[static_cast<std::size_t>(to)] = weights.experts.back();
    for (int h = 0; h < 8; ++h) {
      relabelled.gate.at(to, h) = weights.gate.at(e, h);
    }
  }
  const LayerTokens tokens{matrix(8, values(96, "x")), {0, 5, 12}, {}, {}};
  const LayerPass a = run_layer(spec, weights, tokens);
  const LayerPass b = run_layer(spec, relabelled, tokens);
  EXPECT_TRUE(gpu_ref::testing::are_close(b.out.values, a.out.values, {1e-13, 0, 1e-13}));
  EXPECT_NE(a.experts, b.experts);
}

TEST(OracleFp8, ATripKeepsEveryValueWithinHalfAStep) {
  const Matrix in = matrix(300, to_double(gpu_ref::testing::random_floats(900, "fp8", 50.0F)));
  const Matrix rows = through_fp8_rows(in);
  // A step is 1/8 of the binade; below the normals of a block, 2^-9 of a scale of at most 50 / 448.
  EXPECT_TRUE(
      gpu_ref::testing::are_close(rows.values, in.values, {50.0 / 448 / 1024, 1.0 / 16, 0.03}));
  EXPECT_NE(rows.values, in.values);
  EXPECT_EQ(through_fp8_rows(rows).values, rows.values);
}

}  // namespace
}  // namespace moesim::gpu_ref::oracle
