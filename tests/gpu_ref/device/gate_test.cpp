// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/ops/gate.hpp"

#include <cmath>

#include "gpu_ref/ops/losses.hpp"
#include "gpu_ref/ops/topk.hpp"
#include "gpu_ref/oracle/gate.hpp"
#include "tests/gpu_ref/device/on_device.hpp"

namespace moesim::gpu_ref::testing {
namespace {

/// f32 sums of a few dozen terms, which tensor cores may truncate.
constexpr Tolerance kFloatSums{2e-5, 1e-5, 1e-5};
/// f32 exp and log against double.
constexpr Tolerance kFloatMath{1e-6, 1e-5, 1e-5};
constexpr Tolerance kRoundedOnce{1e-7, 1.01 * kBf16Rounding, kBf16Rounding};

struct GateCase {
  std::int64_t tokens;
  int experts;
  int top_k;
  GateSpec gate;
};

GateSpec softmax_gate(bool renormalise, float scale) {
  GateSpec gate;
  gate.renormalise = renormalise;
  gate.scale = scale;
  gate.aux_loss_factor = 0.5F;
  gate.z_loss_factor = 0.25F;
  return gate;
}

GateSpec sigmoid_gate(int groups, int groups_kept, bool renormalise) {
  GateSpec gate;
  gate.kind = GateKind::kSigmoidGroupTopK;
  gate.groups = groups;
  gate.groups_kept = groups_kept;
  gate.renormalise = renormalise;
  gate.scale = 2.5F;
  gate.aux_loss_factor = 0.5F;
  return gate;
}

std::vector<GateCase> cases() {
  return {{37, 8, 2, softmax_gate(false, 1.0F)},
          {5, 1, 1, softmax_gate(true, 1.0F)},
          {9, 33, 5, softmax_gate(true, 2.0F)},
          {6, 1024, 32, softmax_gate(false, 1.0F)},
          {0, 8, 2, softmax_gate(false, 1.0F)},
          {21, 64, 6, sigmoid_gate(8, 3, true)},
          {7, 24, 4, sigmoid_gate(1, 1, false)},
          {4, 32, 8, sigmoid_gate(32, 9, true)},
          {3, 992, 32, sigmoid_gate(31, 2, true)},
          {0, 16, 2, sigmoid_gate(4, 2, true)}};
}

class GateOnDevice : public OnDevice {
 protected:
  struct Ran {
    oracle::Choice expected;
    std::vector<std::int32_t> experts;
    std::vector<float> weights, scores, choice, normaliser;
  };

  Ran run(const GateCase& c, const std::string& name) {
    const auto size = static_cast<std::size_t>(c.tokens * c.experts);
    const auto slots = static_cast<std::size_t>(c.tokens * c.top_k);
    const std::vector<float> logits = random_floats(size, name + " logits", 4.0F);
    const std::vector<float> bias =
        random_floats(static_cast<std::size_t>(c.experts), name + " bias", 0.2F);
    const bool softmax = c.gate.kind == GateKind::kSoftmaxTopK;
    const auto device_logits = on_device(logits);
    const auto device_bias = on_device(bias);
    auto experts = poisoned<std::int32_t>(slots);
    auto weights = poisoned<float>(slots);
    auto scores = poisoned<float>(size);
    auto choice = poisoned<float>(size);
    auto normaliser = poisoned<float>(static_cast<std::size_t>(c.tokens));
    const TopkOutputs out{
        experts.data(), weights.data(), scores.data(), choice.data(), normaliser.data()};
    const TopkShape shape{c.tokens, c.experts, c.top_k};
    if (softmax) {
      softmax_topk(device_logits.data(), c.gate, shape, out, stream());
    } else {
      sigmoid_group_topk(device_logits.data(), device_bias.data(), c.gate, shape, out, stream());
    }
    const std::vector<double> bias_values = softmax ? std::vector<double>() : to_double(bias);
    return {oracle::choose(matrix_of(logits, c.experts), bias_values, c.gate, c.top_k),
            experts.download(stream()),
            weights.download(stream()),
            scores.download(stream()),
            choice.download(stream()),
            normaliser.download(stream())};
  }
};

TEST_F(GateOnDevice, TopKIsTheOracles) {
  for (const GateCase& c : cases()) {
    SCOPED_TRACE(c.experts);
    const Ran ran = run(c, "topk " + std::to_string(c.experts));
    EXPECT_EQ(ran.experts, ran.expected.experts);
    EXPECT_TRUE(are_close(to_double(ran.weights), ran.expected.weights, kFloatMath));
    EXPECT_TRUE(are_close(to_double(ran.scores), ran.expected.scores.values, kFloatMath));
    EXPECT_TRUE(are_close(to_double(ran.normaliser), ran.expected.normaliser, kFloatMath));
    for (std::size_t i = 0; i < ran.choice.size(); ++i) {
      EXPECT_EQ(std::isinf(ran.choice[i]), std::isinf(ran.expected.choice.values[i])) << i;
    }
  }
}

TEST_F(GateOnDevice, EqualLogitsGoToTheLowerExpert) {
  const std::vector<float> logits(40, 1.5F);
  const auto device_logits = on_device(logits);
  auto experts = poisoned<std::int32_t>(3);
  auto floats = poisoned<float>(3 + 40 + 40 + 1);
  softmax_topk(
      device_logits.data(),
      {},
      {1, 40, 3},
      {experts.data(), floats.data(), floats.data() + 3, floats.data() + 43, floats.data() + 83},
      stream());
  EXPECT_EQ(experts.download(stream()), (std::vector<std::int32_t>{0, 1, 2}));
}

TEST_F(GateOnDevice, LossesAreTheOracles) {
  for (const GateCase& c : cases()) {
    SCOPED_TRACE(c.experts);
    const Ran ran = run(c, "losses " + std::to_string(c.experts));
    const std::vector<std::int32_t> counts = oracle::counts_of(ran.experts, c.experts);
    const bool softmax = c.gate.kind == GateKind::kSoftmaxTopK;
    const auto scores = on_device(ran.scores);
    const auto normaliser = on_device(ran.normaliser);
    const auto device_counts = on_device(counts);
    auto means = poisoned<float>(static_cast<std::size_t>(c.experts));
    auto losses = poisoned<float>(2);
    const TopkShape shape{c.tokens, c.experts, c.top_k};
    mean_scores(
        scores.data(), softmax ? nullptr : normaliser.data(), shape, means.data(), stream());
    gate_losses(means.data(),
                device_counts.data(),
                softmax ? normaliser.data() : nullptr,
                c.gate,
                shape,
                losses.data(),
                stream());
    const oracle::Losses expected = oracle::losses_of(ran.expected, counts, c.gate);
    const std::vector<double> both = {expected.auxiliary, expected.z};
    EXPECT_TRUE(are_close(to_double(losses.download(stream())), both, {1e-6, 1e-5, 1e-5}));
  }
}

TEST_F(GateOnDevice, GradientOfTheLogitsIsTheOracles) {
  for (const GateCase& c : cases()) {
    SCOPED_TRACE(c.experts);
    const Ran ran = run(c, "backward " + std::to_string(c.experts));
    const std::vector<std::int32_t> counts = oracle::counts_of(ran.experts, c.experts);
    const std::vector<float> d_weights = random_floats(ran.experts.size(), "d_weights");
    const auto experts = on_device(ran.experts);
    const auto device_d_weights = on_device(d_weights);
    const auto scores = on_device(ran.scores);
    const auto normaliser = on_device(ran.normaliser);
    const auto device_counts = on_device(counts);
    auto d_logits = poisoned<Bf16>(ran.scores.size());
    gate_logits_backward({experts.data(),
                          device_d_weights.data(),
                          scores.data(),
                          normaliser.data(),
                          device_counts.data()},
                         c.gate,
                         {c.tokens, c.experts, c.top_k},
                         d_logits.data(),
                         stream());
    const oracle::Matrix expected =
        oracle::logits_backward(ran.expected, to_double(d_weights), counts, c.gate);
    EXPECT_TRUE(are_close(to_double(d_logits.download(stream())),
                          expected.values,
                          {2e-6, 1.02 * kBf16Rounding, kBf16Rounding}));
  }
}

TEST_F(GateOnDevice, GemmsAreTheOracles) {
  for (const GateShape& shape : {GateShape{17, 24, 5}, GateShape{1, 8, 64}, GateShape{0, 16, 3}}) {
    SCOPED_TRACE(shape.num_experts);
    const auto tokens = static_cast<std::size_t>(shape.num_tokens);
    const auto hidden = static_cast<std::size_t>(shape.hidden);
    const auto experts = static_cast<std::size_t>(shape.num_experts);
    const std::vector<Bf16> x = random_bf16(tokens * hidden, "x");
    const std::vector<Bf16> gate = random_bf16(experts * hidden, "gate");
    const std::vector<Bf16> slope = random_bf16(tokens * experts, "slope");
    const std::vector<Bf16> before = random_bf16(tokens * hidden, "before");
    const auto device_x = on_device(x);
    const auto device_gate = on_device(gate);
    const auto device_slope = on_device(slope);
    auto logits = poisoned<float>(tokens * experts);
    auto d_x = poisoned<Bf16>(tokens * hidden);
    auto d_gate = poisoned<float>(experts * hidden);
    auto added = on_device(before);
    Blas blas(stream());
    gate_logits(blas, device_x.data(), device_gate.data(), logits.data(), shape);
    gate_dgrad(blas, device_slope.data(), device_gate.data(), d_x.data(), shape);
    gate_wgrad(blas, device_slope.data(), device_x.data(), d_gate.data(), shape);
    GateShape adding = shape;
    adding.accumulate = true;
    gate_dgrad(blas, device_slope.data(), device_gate.data(), added.data(), adding);

    const oracle::Matrix mx = matrix_of(x, shape.hidden);
    const oracle::Matrix mg = matrix_of(gate, shape.hidden);
    const oracle::Matrix ms = matrix_of(slope, shape.num_experts);
    oracle::Matrix expected_dx = oracle::product(ms, mg);
    EXPECT_TRUE(are_close(to_double(logits.download(stream())),
                          oracle::product_with_transposed(mx, mg).values,
                          kFloatSums));
    EXPECT_TRUE(are_close(to_double(d_x.download(stream())), expected_dx.values, kRoundedOnce));
    EXPECT_TRUE(are_close(to_double(d_gate.download(stream())),
                          oracle::product(oracle::transposed(ms), mx).values,
                          kFloatSums));
    oracle::add_scaled(expected_dx, matrix_of(before, shape.hidden), 1.0);
    EXPECT_TRUE(are_close(to_double(added.download(stream())), expected_dx.values, kRoundedOnce));
  }
}

TEST_F(GateOnDevice, ShapesBeyondTheKernelsAreRefused) {
  EXPECT_THROW(softmax_topk(nullptr, {}, {1, 1025, 1}, {}, stream()), std::invalid_argument);
  EXPECT_THROW(softmax_topk(nullptr, {}, {1, 64, 33}, {}, stream()), std::invalid_argument);
  EXPECT_THROW(softmax_topk(nullptr, {}, {1, 4, 5}, {}, stream()), std::invalid_argument);
  EXPECT_THROW(
      sigmoid_group_topk(nullptr, nullptr, sigmoid_gate(3, 1, true), {1, 8, 2}, {}, stream()),
      std::invalid_argument);
  EXPECT_THROW(
      sigmoid_group_topk(nullptr, nullptr, sigmoid_gate(8, 1, true), {1, 8, 2}, {}, stream()),
      std::invalid_argument);
  Blas blas(stream());
  EXPECT_THROW(gate_logits(blas, nullptr, nullptr, nullptr, {1, 12, 4}), std::invalid_argument);
}

}  // namespace
}  // namespace moesim::gpu_ref::testing
