// SPDX-License-Identifier: Apache-2.0
// No whole step beats its bound; and what limits one.
#include "sim/step/whole_bound.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "sim/step/attention_cost.hpp"
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
  [[nodiscard]] WholeShape shape() const {
    return {.model = model.step.model,
            .compute = {model.step.cluster.gpu, model.step.constants},
            .kind = model.kind,
            .parallel = model.parallel,
            .batch = model.batch,
            .kv_dtype = model.kv_dtype,
            .dropless = model.step.capacity.policy == OverflowPolicy::kNone};
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
}

}  // namespace
}  // namespace moesim
