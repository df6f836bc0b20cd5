// SPDX-License-Identifier: Apache-2.0
// Every gradient of the CPU oracle against finite differences of its forward pass.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "gpu_ref/oracle/layer.hpp"
#include "tests/gpu_ref/support.hpp"

namespace moesim::gpu_ref::oracle {
namespace {

constexpr double kStep = 1e-5;
/// Central differences are off by step^2 and by rounding / step: about 1e-10.
constexpr gpu_ref::testing::Tolerance kDifferences{2e-7, 2e-6, 1e-6};

Matrix random_matrix(std::int64_t rows,
                     std::int64_t columns,
                     const std::string& name,
                     float bound = 1.0F) {
  Matrix out(rows, columns);
  out.values = to_double(
      gpu_ref::testing::random_floats(static_cast<std::size_t>(rows * columns), name, bound));
  return out;
}

/// d loss / d values by central differences; values are left as they were.
std::vector<double> differences(std::vector<double>& values, const std::function<double()>& loss) {
  std::vector<double> slopes;
  for (double& value : values) {
    const double before = value;
    value = before + kStep;
    const double up = loss();
    value = before - kStep;
    const double down = loss();
    value = before;
    slopes.push_back((up - down) / (2 * kStep));
  }
  return slopes;
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    sum += a[i] * b[i];
  }
  return sum;
}

TEST(Gradients, OfSwiglu) {
  Matrix gate_up = random_matrix(3, 10, "gate_up", 3.0F);
  const Matrix d_out = random_matrix(3, 5, "d_out");
  const auto loss = [&] { return dot(swiglu(gate_up).values, d_out.values); };
  EXPECT_TRUE(gpu_ref::testing::are_close(
      swiglu_backward(gate_up, d_out).values, differences(gate_up.values, loss), kDifferences));
}

TEST(Gradients, OfAnExpert) {
  ExpertWeights weights{random_matrix(8, 5, "up"), random_matrix(5, 4, "down")};
  Matrix x = random_matrix(6, 5, "x");
  const Matrix d_y = random_matrix(6, 5, "d_y");
  const auto loss = [&] { return dot(run_expert(weights, x, false).y.values, d_y.values); };
  const ExpertGradients slopes = expert_backward(weights, run_expert(weights, x, false), d_y);
  EXPECT_TRUE(
      gpu_ref::testing::are_close(slopes.x.values, differences(x.values, loss), kDifferences));
  EXPECT_TRUE(gpu_ref::testing::are_close(
      slopes.gate_up.values, differences(weights.gate_up.values, loss), kDifferences));
  EXPECT_TRUE(gpu_ref::testing::are_close(
      slopes.down.values, differences(weights.down.values, loss), kDifferences));
}

std::vector<GateSpec> gates() {
  std::vector<GateSpec> all;
  for (const GateKind kind : {GateKind::kSoftmaxTopK, GateKind::kSigmoidGroupTopK}) {
    for (const bool renormalise : {false, true}) {
      GateSpec gate;
      gate.kind = kind;
      gate.groups = 3;
      gate.groups_kept = 2;
      gate.renormalise = renormalise;
      gate.scale = 1.5F;
      gate.aux_loss_factor = 0.7F;
      gate.z_loss_factor = kind == GateKind::kSoftmaxTopK ? 0.4F : 0.0F;
      all.push_back(gate);
    }
  }
  return all;
}

TEST(Gradients, OfTheGateWithItsLosses) {
  for (const GateSpec& gate : gates()) {
    SCOPED_TRACE(gate.renormalise);
    Matrix logits = random_matrix(7, 6, "logits", 2.0F);
    const std::vector<double> bias = random_matrix(1, 6, "bias", 0.1F).values;
    const std::vector<double> d_weights = random_matrix(7, 2, "d_weights").values;
    const Choice choice = choose(logits, bias, gate, 2);
    const std::vector<std::int32_t> counts = counts_of(choice.experts, 6);
    const auto loss = [&] {
      const Choice moved = choose(logits, bias, gate, 2);
      EXPECT_EQ(moved.experts, choice.experts);  // a step across a choice would prove nothing
      const Losses losses = losses_of(moved, counts, gate);
      return dot(moved.weights, d_weights) + losses.auxiliary + losses.z;
    };
    EXPECT_TRUE(gpu_ref::testing::are_close(logits_backward(choice, d_weights, counts, gate).values,
                                            differences(logits.values, loss),
                                            kDifferences));
  }
}

/// Two ranks, drops, a shared expert, both losses: every gradient of the layer.
class LayerGradient : public ::testing::TestWithParam<int> {
 protected:
  LayerGradient() {
    spec.shape = {.hidden = 5, .expert_width = 4, .num_experts = 6, .top_k = 2, .shared_width = 3};
    spec.ranks = 2;
    spec.gate = gates()[static_cast<std::size_t>(GetParam())];
    spec.capacity = {.overflow = Overflow::kDrop, .factor = 1.0};
    weights.gate = random_matrix(6, 5, "gate");
    weights.bias = random_matrix(1, 6, "bias", 0.1F).values;
    for (int e = 0; e < 6; ++e) {
      const std::string name = std::to_string(e);
      weights.experts.push_back(
          {random_matrix(8, 5, "up" + name), random_matrix(5, 4, "down" + name)});
    }
    weights.shared = {random_matrix(6, 5, "shared up"), random_matrix(5, 3, "shared down")};
    tokens.x = random_matrix(9, 5, "x");
    tokens.token_begin = {0, 5, 9};
    d_out = random_matrix(9, 5, "d_out");
    reference = run_layer(spec, weights, tokens);
  }

  double loss() const {
    const LayerPass pass = run_layer(spec, weights, tokens);
    EXPECT_EQ(pass.experts, reference.experts);
    double sum = dot(pass.out.values, d_out.values);
    for (const Losses& losses : pass.losses) {
      sum += losses.auxiliary + losses.z;
    }
    return sum;
  }

  void expect_slopes(const std::vector<double>& actual, std::vector<double>& values) {
    EXPECT_TRUE(gpu_ref::testing::are_close(
        actual, differences(values, [this] { return loss(); }), kDifferences));
  }

  LayerSpec spec;
  LayerWeights weights;
  LayerTokens tokens;
  Matrix d_out;
  LayerPass reference;
};

TEST_P(LayerGradient, OfEveryInputAndWeight) {
  EXPECT_GT(std::count(reference.keep.begin(), reference.keep.end(), 0), 0);
  const LayerGradients slopes = layer_backward(spec, weights, tokens, reference, d_out);
  expect_slopes(slopes.x.values, tokens.x.values);
  Matrix gate = slopes.gate[0];
  add_scaled(gate, slopes.gate[1], 1.0);
  expect_slopes(gate.values, weights.gate.values);
  for (std::size_t e = 0; e < 6; ++e) {
    expect_slopes(slopes.experts[e].gate_up.values, weights.experts[e].gate_up.values);
    expect_slopes(slopes.experts[e].down.values, weights.experts[e].down.values);
  }
  Matrix shared_up = slopes.shared[0].gate_up;
  add_scaled(shared_up, slopes.shared[1].gate_up, 1.0);
  expect_slopes(shared_up.values, weights.shared.gate_up.values);
  Matrix shared_down = slopes.shared[0].down;
  add_scaled(shared_down, slopes.shared[1].down, 1.0);
  expect_slopes(shared_down.values, weights.shared.down.values);
}

INSTANTIATE_TEST_SUITE_P(AllGates, LayerGradient, ::testing::Range(0, 4));

}  // namespace
}  // namespace moesim::gpu_ref::oracle
