// SPDX-License-Identifier: Apache-2.0
// No whole step beats its bound; and what limits one.
#include "sim/step/whole_bound.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "sim/step/attention_cost.hpp"
#include "sim/step/traffic_bound.hpp"
#include "sim/step/whole_limit.hpp"
#include "tests/step/random_steps.hpp"

namespace moesim {
namespace {

/// A random chain of MoE layers as a whole model with a dense layer before it.
struct RandomWhole {
  testing::RandomStep step;
  WholeModel model;

  explicit RandomWhole(std::uint64_t seed)
      : step(testing::random_step(seed, {.even = true, .replicas = true})) {
    RngStream rng(seed, "random whole");
    model.step = std::move(step.model);
    model.step.routing = step.routing.get();
    ModelShape& shape = model.step.model;
    shape.layers = model.step.layers + 1;
    shape.moe_layers = model.step.layers;
    shape.first_moe_layer = 1;
    shape.dense_width = 1024;
    shape.vocabulary = 1000;
    shape.attention = {.kind = AttentionKind::kGqa, .heads = 8, .kv_heads = 2, .head_dim = 64};
    model.parallel = {.ep = model.step.ranks, .tp = rng.below(2) == 0 ? 1 : 2};
    const Routing routing = step.routing->route(0, 0);
    model.batch = {.tokens_per_rank = routing.token_begin[1], .steps = 1, .context_tokens = 500};
    const std::uint64_t overlap = rng.below(3);
    if (overlap == 1 && model.batch.tokens_per_rank > 1) {
      model.overlap = Overlap::kTwoBatch;
    } else if (overlap == 2 && shape.shared_experts > 0) {
      model.overlap = Overlap::kSharedExpert;
    }
  }
  [[nodiscard]] WholeShape shape() const { return shape_of(model); }

  /// Gives it one to three stages with one to four micro-batches under way.
  void pipeline(std::uint64_t seed) {
    RngStream rng(seed, "random pipeline");
    model.kind = rng.below(2) == 0 ? StepKind::kPrefill : StepKind::kDecode;
    model.parallel.pp = 1 + static_cast<int>(rng.below(2));
    model.batch.micro_batches = model.parallel.pp == 1 ? 1 : 1 + static_cast<int>(rng.below(4));
    widen(seed);
  }

  /// Makes it a training step on one or two stages, on a cluster that holds them.
  void train(std::uint64_t seed) {
    RngStream rng(seed, "random training");
    model.kind = StepKind::kTrain;
    model.parallel.pp = 1 + static_cast<int>(rng.below(2));
    model.batch.micro_batches = 3 + static_cast<int>(rng.below(3));
    model.overlap = rng.below(3) == 0 ? Overlap::kDualPipe : Overlap::kNone;
    model.training.recompute = static_cast<Recompute>(rng.below(3));
    model.training.zero_stage = static_cast<int>(rng.below(4));
    widen(seed);
  }

 private:
  /// The same cluster for all stages.
  void widen(std::uint64_t seed) {
    RngStream same(seed, "random step");
    ClusterSpec spec = testing::random_cluster_spec(same, false);
    spec.nodes *= model.parallel.pp;
    model.step.cluster = build_cluster(spec);
  }
};

RC_GTEST_PROP(WholeBound, NoStepBeatsItINV3, (std::uint16_t seed)) {
  const RandomWhole whole(seed);
  if (whole.model.batch.tokens_per_rank == 0) {
    return;
  }
  const Seconds step = simulate_whole_step(whole.model, 0).makespan.to_seconds();
  const Seconds bound = least_step_time(whole.shape());
  RC_ASSERT(bound.value > 0);
  RC_ASSERT(bound <= step);
  const Seconds by_traffic = least_traffic_time(whole.model, prepare_whole_step(whole.model, 0));
  RC_ASSERT(by_traffic.value > 0 || whole.model.step.engine != NetworkEngine::kFluid);
  RC_ASSERT(by_traffic <= step);
}

RC_GTEST_PROP(WholeBound, NoPipelineBeatsItINV3, (std::uint16_t seed)) {
  RandomWhole whole(seed);
  if (whole.model.batch.tokens_per_rank == 0) {
    return;
  }
  whole.pipeline(seed);
  const WholeStepResult run = simulate_whole_step(whole.model, 0);
  RC_ASSERT(least_step_time(whole.shape()) <= run.makespan.to_seconds());
  RC_ASSERT(least_traffic_time(whole.model, prepare_whole_step(whole.model, 0)) <=
            run.makespan.to_seconds());
  SimTime sum;
  for (const SimTime part : run.parts) {
    RC_ASSERT(part >= SimTime{});
    sum += part;
  }
  RC_ASSERT(sum == run.makespan);
}

RC_GTEST_PROP(WholeBound, NoTrainingStepBeatsItINV3, (std::uint16_t seed)) {
  RandomWhole whole(seed);
  if (whole.model.batch.tokens_per_rank == 0) {
    return;
  }
  whole.train(seed);
  const Seconds step = simulate_whole_step(whole.model, 0).makespan.to_seconds();
  const Seconds bound = least_step_time(whole.shape());
  RC_ASSERT(bound.value > 0 || whole.model.training.schedule == Schedule::kDualPipe);
  RC_ASSERT(bound <= step);
  const Seconds with_copies = least_training_time(whole.model);
  RC_ASSERT(with_copies > bound);
  RC_ASSERT(with_copies <= step);
}

// Two stages of one dense layer each, 4 micro-batches, nothing sent: forwards f and f + head,
// backwards b and b + 2 head. The second stage works 4 (f + b + 3 head) after f and before b.
TEST(WholeBound, FillsAndDrainsThePipelineOfADenseModel) {
  RandomWhole whole(1);
  WholeModel& m = whole.model;
  m.kind = StepKind::kTrain;
  m.step.model.layers = 2;
  m.step.model.moe_layers = 0;
  m.step.layers = 0;
  m.overlap = Overlap::kNone;
  m.parallel.tp = 1;
  m.parallel.pp = 2;
  m.batch.micro_batches = 4;
  const ComputeModel compute{m.step.cluster.gpu, m.step.constants};
  const AttentionLoad load = attention_load(m.kind, m.batch, m.parallel, m.kv_dtype);
  const Seconds dense = dense_ffn_time(compute, m.step.model, 1, load.tokens());
  const Seconds head = head_time(compute, m.step.model, 1, load.tokens());
  const Seconds layer = attention_time(compute, m.step.model, load) +
                        attention_backward_time(compute, m.step.model, load, Recompute::kNone) +
                        3.0 * dense;
  const Seconds least = layer + 4.0 * (layer + 3.0 * head);
  EXPECT_NEAR(least_step_time(whole.shape()).value, least.value, 2e-6 * least.value);
}

// Without MoE layers and exchanges nothing is left to chance: the bound is the step.
TEST(WholeBound, IsTheStepOfADenseModelWithoutExchanges) {
  RandomWhole whole(1);
  whole.model.step.model.layers = 3;
  whole.model.step.model.moe_layers = 0;
  whole.model.step.layers = 0;
  whole.model.parallel.tp = 1;
  whole.model.overlap = Overlap::kNone;
  const double step = simulate_whole_step(whole.model, 0).makespan.to_seconds().value;
  EXPECT_NEAR(least_step_time(whole.shape()).value, step, 2e-6 * step);
}

// Decode over a long context reads the cache and little else; a short one of a small model is
// mostly starts of kernels.
TEST(WholeLimit, NamesThePartAndItsResource) {
  RandomWhole whole(1);
  whole.model.parallel.tp = 1;
  whole.model.overlap = Overlap::kNone;
  whole.model.batch.context_tokens = 10'000'000;
  WholeStepResult result = simulate_whole_step(whole.model, 0);
  WholeLimit limit = limit_of(whole.model, result.parts);
  EXPECT_EQ(limit.part, WholePart::kAttention);
  EXPECT_EQ(limit.resource, Resource::kMemory);
  EXPECT_GT(limit.share, 0.9);
  WholeParts parts{};
  parts[static_cast<std::size_t>(WholePart::kAttention)] = ticks(microseconds(30));
  parts[static_cast<std::size_t>(WholePart::kDispatch)] = ticks(microseconds(70));
  limit = limit_of(whole.model, parts);
  EXPECT_EQ(limit.part, WholePart::kDispatch);
  EXPECT_DOUBLE_EQ(limit.share, 0.7);
  EXPECT_EQ(limit.resource, Resource::kScaleOutLinks);  // two layers start in 8 us
  whole.model.step.constants.communication_start = microseconds(20);
  EXPECT_EQ(limit_of(whole.model, parts).resource, Resource::kLaunches);
  whole.model.batch.context_tokens = 10;
  parts[static_cast<std::size_t>(WholePart::kAttention)] = ticks(microseconds(80));
  EXPECT_EQ(limit_of(whole.model, parts).resource, Resource::kLaunches);
  EXPECT_EQ(resource_name(Resource::kMemory), "HBM");
  EXPECT_EQ(resource_name(Resource::kSchedule), "schedule");
}

TEST(WholeLimit, KnowsWhatOnlyTrainingHas) {
  RandomWhole whole(1);
  whole.model.kind = StepKind::kTrain;
  const auto resource_of = [&](WholePart part) {
    WholeParts parts{};
    parts[static_cast<std::size_t>(part)] = ticks(microseconds(1000));
    parts[static_cast<std::size_t>(WholePart::kSlowed)] = ticks(microseconds(2000));
    const WholeLimit limit = limit_of(whole.model, parts);
    EXPECT_EQ(limit.part, part);
    EXPECT_DOUBLE_EQ(limit.share, 1.0 / 3);
    return limit.resource;
  };
  EXPECT_EQ(resource_of(WholePart::kBubble), Resource::kSchedule);
  EXPECT_EQ(resource_of(WholePart::kGradients), Resource::kScaleOutLinks);
  EXPECT_EQ(resource_of(WholePart::kOptimiser), Resource::kMemory);
}

}  // namespace
}  // namespace moesim
