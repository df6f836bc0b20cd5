// SPDX-License-Identifier: Apache-2.0
// The benches themselves: on a GPU where there is one, and always on CPU stand-ins for CUDA, where
// they show that operands, shapes and phases fit together (their times mean nothing there).
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "gpu_ref/device/devices.hpp"
#include "gpu_ref/measure/layer_bench.hpp"
#include "gpu_ref/measure/layer_meter.hpp"
#include "gpu_ref/measure/loads.hpp"
#include "gpu_ref/measure/mistake.hpp"

namespace moesim::measure {
namespace {

using testing::Each;
using testing::Ge;
using testing::SizeIs;

constexpr StopRule kFew{.min_samples = 3, .max_samples = 3, .noise_ratio = 0, .max_seconds = 60};

class Benches : public testing::Test {
 protected:
  void SetUp() override {
    if (gpu_ref::attached_gpus() == 0) {
      GTEST_SKIP() << "no GPU on this machine";
    }
    gpu_ref::use_device(0);
    timer_ = std::make_unique<GpuTimer>(1 << 20);
    blas_ = std::make_unique<gpu_ref::Blas>(timer_->stream());
  }

  template <typename Input>
  void expect_samples(const Input& input, L2State l2 = L2State::kCold) {
    const Timing timing = bench(input, BenchTools{*timer_, *blas_}, {.l2 = l2, .rule = kFew});
    EXPECT_THAT(timing.samples_s, SizeIs(3)) << key_of({.input = input, .l2 = l2});
    EXPECT_THAT(timing.samples_s, Each(Ge(0.0)));
    EXPECT_EQ(timing.stop, StopReason::kSamples);
  }

  std::unique_ptr<GpuTimer> timer_;
  std::unique_ptr<gpu_ref::Blas> blas_;
};

TEST_F(Benches, OfRowOperationsTakeSamples) {
  for (const RowOp op :
       {RowOp::kGate, RowOp::kPermute, RowOp::kCombine, RowOp::kQuantise, RowOp::kActivation}) {
    expect_samples(RowsInput{.op = op, .tokens = 24, .width = 128, .experts = 8, .top_k = 2});
  }
}

TEST_F(Benches, OfGroupedGemmsTakeSamplesInEveryPass) {
  for (const Pass pass : {Pass::kForward, Pass::kBackwardInput, Pass::kBackwardWeight}) {
    for (const L2State l2 : {L2State::kCold, L2State::kWarm}) {
      expect_samples(GroupedInput{.pass = pass, .columns = 32, .inner = 16, .counts = {5, 0, 3, 9}},
                     l2);
    }
  }
}

TEST_F(Benches, OfGroupedGemmsInFp8TakeSamplesOrSaySoWhenThereIsNone) {
  const GroupedInput input{
      .type = ElementType::kFp8, .columns = 256, .inner = 128, .counts = {5, 0, 3}};
  try {
    expect_samples(input);
  } catch (const CaseSkipped& reason) {
    EXPECT_STREQ(reason.what(), "cuBLASLt offers no FP8 GEMM with block scales on this device");
  }
}

TEST_F(Benches, OfLayersTimeEveryStageForwardAndBackward) {
  LayerInput input{.tokens = 16,
                   .hidden = 32,
                   .width = 16,
                   .top_k = 2,
                   .skew = "lognormal1",
                   .counts = capped(lognormal_counts(4, 32, 1, 3), 16)};
  for (const bool backward : {false, true}) {
    input.backward = backward;
    const Timing timing =
        bench(input, BenchTools{*timer_, *blas_}, {.l2 = L2State::kCold, .rule = kFew});
    EXPECT_THAT(timing.samples_s, SizeIs(3));
    const auto stages = nlohmann::json::parse(timing.extra.text())["stages_s"];
    for (const char* stage : {"gate", "place", "spread", "gate_up", "activation", "down"}) {
      EXPECT_EQ(stages.contains(stage), !backward) << stage;
    }
    for (const char* stage : {"combine_backward", "down_backward", "gate_up_backward"}) {
      EXPECT_EQ(stages.contains(stage), backward) << stage;
    }
  }
}

// 4 ranks of 2 experts, 6 tokens each, top-2, and a capacity that bites at expert 0.
RoutedLayer four_ranks(gpu_ref::Overflow overflow) {
  RoutedLayer layer;
  layer.spec.shape = {
      .hidden = 32, .expert_width = 16, .num_experts = 8, .top_k = 2, .shared_width = 16};
  layer.spec.ranks = 4;
  layer.spec.capacity.overflow = overflow;
  layer.token_begin = {0, 6, 12, 18, 24};
  for (std::int32_t t = 0; t < 24; ++t) {
    layer.experts.push_back(0);
    layer.experts.push_back(1 + t % 7);
  }
  layer.weights.assign(48, 0.5F);
  return layer;
}

TEST_F(Benches, OfAScenariosRanksKeepTheTrueCounts) {
  const std::unique_ptr<LayerMeter> meter = open_layer_meter();
  const std::vector<MeasuredRank> ranks = meter->measure(four_ranks(gpu_ref::Overflow::kNone));
  ASSERT_EQ(ranks.size(), 4U);
  // Expert 0: 24. Experts 1..7 of tokens 0..23: 1 + t % 7, so 4, 4, 4, 3, 3, 3, 3.
  EXPECT_EQ(ranks[0].kept, 24 + 4);
  EXPECT_EQ(ranks[1].kept, 4 + 4);
  EXPECT_EQ(ranks[2].kept, 3 + 3);
  EXPECT_EQ(ranks[3].kept, 3 + 3);
  for (const MeasuredRank& rank : ranks) {
    EXPECT_EQ(rank.stage_s.front().first, "gate");
    EXPECT_THAT(rank.stage_s, SizeIs(Ge(10U)));
  }
}

TEST_F(Benches, OfAScenariosRanksDropWhatIsBeyondCapacity) {
  const std::unique_ptr<LayerMeter> meter = open_layer_meter();
  const std::vector<MeasuredRank> ranks = meter->measure(four_ranks(gpu_ref::Overflow::kDrop));
  // C = ceil(6 * 2 / 8) = 2 a source rank: expert 0 keeps 4 * 2; the others stay below it.
  EXPECT_EQ(ranks[0].kept, 8 + 4);
}

TEST_F(Benches, OfALayerThatCannotBeAreRefused) {
  RoutedLayer layer = four_ranks(gpu_ref::Overflow::kNone);
  layer.spec.ranks = 3;
  EXPECT_THROW((void)open_layer_meter()->measure(layer), std::invalid_argument);
}

}  // namespace
}  // namespace moesim::measure
