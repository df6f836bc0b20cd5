// SPDX-License-Identifier: Apache-2.0
// Passes take 2 us forwards and 4 us backwards unless said.
#include "sim/step/pipeline.hpp"

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <set>

#include "tests/step/step_fixtures.hpp"

namespace moesim {
namespace {

SimTime us(double n) {
  return ticks(microseconds(n));
}

Pipeline pipeline_of(PipelineShape shape, PartTimes times = {us(2), us(4), us(4)}) {
  Pipeline pipeline;
  pipeline.shape = shape;
  pipeline.times.assign(static_cast<std::size_t>(shape.parts()), {times});
  return pipeline;
}

PipelineOp forward(int part, int batch) {
  return {.forward = part, .forward_batch = batch};
}
PipelineOp backward(int part, int batch) {
  return {.backward = part, .backward_batch = batch};
}

TEST(Schedule, TakesTurnsAfterTheWarmUp) {
  const PipelineShape shape{.stages = 2, .micro_batches = 3};
  EXPECT_THAT(one_forward_one_backward(shape, 0),
              ::testing::ElementsAre(forward(0, 0),
                                     forward(0, 1),
                                     backward(0, 0),
                                     forward(0, 2),
                                     backward(0, 1),
                                     backward(0, 2)));
  EXPECT_THAT(one_forward_one_backward(shape, 1),
              ::testing::ElementsAre(forward(1, 0),
                                     backward(1, 0),
                                     forward(1, 1),
                                     backward(1, 1),
                                     forward(1, 2),
                                     backward(1, 2)));
}

// Parts 0 and 2 on stage 0, two micro-batches of each at a time; warm-up 2 * 1 + 2 = 4 of 4.
TEST(Schedule, InterleavesTheParts) {
  const PipelineShape shape{.stages = 2, .virtual_stages = 2, .micro_batches = 2};
  EXPECT_THAT(one_forward_one_backward(shape, 0),
              ::testing::ElementsAre(forward(0, 0),
                                     forward(0, 1),
                                     forward(2, 0),
                                     forward(2, 1),
                                     backward(2, 0),
                                     backward(2, 1),
                                     backward(0, 0),
                                     backward(0, 1)));
  EXPECT_THAT(one_forward_one_backward(shape, 1),
              ::testing::ElementsAre(forward(1, 0),
                                     forward(1, 1),
                                     forward(3, 0),
                                     backward(3, 0),
                                     forward(3, 1),
                                     backward(3, 1),
                                     backward(1, 0),
                                     backward(1, 1)));
}

TEST(Schedule, PairsPassesOfDifferentMicroBatches) {
  const PipelineShape shape{.stages = 2, .micro_batches = 3, .pairs = true};
  EXPECT_THAT(one_forward_one_backward(shape, 1),
              ::testing::ElementsAre(
                  forward(1, 0),
                  PipelineOp{.forward = 1, .forward_batch = 1, .backward = 1, .backward_batch = 0},
                  PipelineOp{.forward = 1, .forward_batch = 2, .backward = 1, .backward_batch = 1},
                  backward(1, 2)));
}

// Three forward passes, not two, go before the first pair.
TEST(Schedule, PairsOfInterleavedPartsAreOfDifferentParts) {
  const PipelineShape shape{.stages = 2, .virtual_stages = 2, .micro_batches = 4, .pairs = true};
  const auto pair = [](int f, int f_batch, int b, int b_batch) {
    return PipelineOp{
        .forward = f, .forward_batch = f_batch, .backward = b, .backward_batch = b_batch};
  };
  EXPECT_THAT(one_forward_one_backward(shape, 1),
              ::testing::ElementsAre(forward(1, 0),
                                     forward(1, 1),
                                     forward(3, 0),
                                     pair(3, 1, 3, 0),
                                     pair(1, 2, 3, 1),
                                     pair(1, 3, 1, 0),
                                     pair(3, 2, 1, 1),
                                     pair(3, 3, 3, 2),
                                     backward(3, 3),
                                     backward(1, 2),
                                     backward(1, 3)));
}

// 4 stages, 8 micro-batches: (8 + 3) * 6 us, of which 18 us are idle on every stage: 3 / 11.
TEST(Pipeline, HasTheBubbleOfTheClosedForm) {
  const PipelineResult run = run_pipeline(pipeline_of({.stages = 4, .micro_batches = 8}));
  EXPECT_EQ(run.end(), us(66));
  for (const StageTimes& stage : run.stages) {
    EXPECT_EQ(stage.busy, us(48));
  }
}

// The same model in 2 parts a stage, each pass half as long: 8 * 6 us + 3 * 3 us.
TEST(Pipeline, VirtualStagesDivideTheBubble) {
  const PipelineResult run = run_pipeline(
      pipeline_of({.stages = 4, .virtual_stages = 2, .micro_batches = 8}, {us(1), us(2), us(2)}));
  EXPECT_EQ(run.end(), us(57));
}

// One stage: 2 us forwards, twice 4 us for both, 4 us backwards, instead of 18 us.
TEST(Pipeline, PairsHideTheShorterPass) {
  EXPECT_EQ(run_pipeline(pipeline_of({.stages = 1, .micro_batches = 3, .pairs = true})).end(),
            us(14));
  EXPECT_EQ(run_pipeline(pipeline_of({.stages = 1, .micro_batches = 3})).end(), us(18));
}

// The second stage: a forward pass from 2 us, seven pairs from 4 to 32 us, a backward pass; then
// the first stage's last one.
TEST(Pipeline, PairsKeepEveryStageBusy) {
  const PipelineResult run =
      run_pipeline(pipeline_of({.stages = 2, .micro_batches = 8, .pairs = true}));
  EXPECT_EQ(run.stages[1].end, us(36));
  EXPECT_EQ(run.end(), us(40));
}

// A stage that takes twice as long holds the others: the first forward pass of 2 us, 3 * 12 us, the
// last backward pass of 4 us.
TEST(Pipeline, WaitsForItsSlowestStage) {
  Pipeline pipeline = pipeline_of({.stages = 2, .micro_batches = 3});
  pipeline.times[1] = {{us(4), us(8), us(8)}};
  EXPECT_EQ(run_pipeline(pipeline).end(), us(42));
}

// Micro-batches 0 and 2 have the first sample, 1 the second: 2 + 4 + 3 + 5 + 2 + 4.
TEST(Pipeline, MicroBatchesTakeTurnsWithTheSamples) {
  Pipeline pipeline = pipeline_of({.stages = 1, .micro_batches = 3});
  pipeline.times[0] = {{us(2), us(4), {}}, {us(3), us(5), {}}};
  EXPECT_EQ(run_pipeline(pipeline).end(), us(20));
}

PipelineShape dualpipe(int stages, int micro_batches) {
  return {.stages = stages, .micro_batches = micro_batches, .pairs = true, .bidirectional = true};
}

// 2 stages, 4 micro-batches, of which 2 and 3 enter at the second stage: both stages are in the
// middle, so nothing waits.
TEST(DualPipe, OrderOfTwoStages) {
  EXPECT_THAT(dualpipe_order(dualpipe(2, 4), 0),
              ::testing::ElementsAre(
                  forward(0, 0),
                  forward(1, 2),
                  forward(0, 1),
                  backward(1, 2),
                  PipelineOp{.forward = 1, .forward_batch = 3, .backward = 0, .backward_batch = 0},
                  backward(1, 3),
                  PipelineOp{.backward = 0, .backward_batch = 1, .inputs_only = true},
                  PipelineOp{.weights = 0, .weights_batch = 1}));
}

// 8 stages, 20 micro-batches (the published figure), F = 2, B = 4, W = 2, F&B = 6 us: every stage
// works 20 * 6 us and idles (8 / 2 - 1) (6 + 4 - 6) = 12 us. Pairs of 5 us and short gradients of
// weights, W = 1, idle no more than the formula's 18 us.
TEST(DualPipe, HasThePublishedBubble) {
  PipelineResult run = run_pipeline(pipeline_of(dualpipe(8, 20), {us(2), us(4), us(6), us(2)}));
  EXPECT_EQ(run.end(), us(132));
  run = run_pipeline(pipeline_of(dualpipe(8, 20), {us(2), us(4), us(5), us(1)}));
  EXPECT_EQ(run.end(), us(125));
  for (const StageTimes& stage : run.stages) {
    EXPECT_LE(run.end() - stage.busy, us(18));
    EXPECT_GE(run.end() - stage.busy, us(14));
  }
}

/// Micro-batches whose activations a stage keeps at most, of both directions.
int most_kept(const PipelineShape& shape, int stage) {
  int kept = 0;
  int most = 0;
  for (const PipelineOp& op : dualpipe_order(shape, stage)) {
    kept += op.forward >= 0 ? 1 : 0;
    most = std::max(most, kept);
    kept -= op.weights >= 0 || (op.backward >= 0 && !op.inputs_only) ? 1 : 0;
  }
  return most;
}

// Bubble (PP / 2 - 1) (F&B + B - 3 W) and PP + 1 activations, as DeepSeek's table has them; every
// pass once, all gradients of weights after those of inputs. F = W = B / 2 and F&B = F + B, as that
// table's picture has them: other W hide more, so that the formula is a bound.
RC_GTEST_PROP(DualPipeTheorem, BubbleAndActivationsAreThePublishedOnes, ()) {
  const int stages = 2 * *rc::gen::inRange(1, 6);
  const PipelineShape shape = dualpipe(stages, 2 * (stages + *rc::gen::inRange(0, 6)));
  const auto f = *rc::gen::inRange<std::int64_t>(10, 1000);
  const std::int64_t w = f;
  const std::int64_t b = 2 * f;
  const std::int64_t both = f + b;
  const PipelineResult run = run_pipeline(pipeline_of(shape, {{f}, {b}, {both}, {w}}));
  const std::int64_t bubble = (stages / 2 - 1) * (both + b - 3 * w);
  for (int s = 0; s < stages; ++s) {
    const StageTimes& stage = run.stages[static_cast<std::size_t>(s)];
    RC_ASSERT(stage.busy.picoseconds == shape.micro_batches * (f + b));
    RC_ASSERT(run.end().picoseconds == stage.busy.picoseconds + bubble);
    RC_ASSERT(most_kept(shape, s) == stages + 1);
    std::set<std::pair<int, int>> forwards;
    std::set<std::pair<int, int>> backwards;
    std::set<std::pair<int, int>> left;
    for (const PipelineOp& op : dualpipe_order(shape, s)) {
      if (op.forward >= 0) {
        RC_ASSERT(forwards.emplace(op.forward, op.forward_batch).second);
      }
      if (op.backward >= 0) {
        RC_ASSERT(backwards.emplace(op.backward, op.backward_batch).second);
      }
      if (op.inputs_only) {
        left.emplace(op.backward, op.backward_batch);
      }
      if (op.weights >= 0) {
        RC_ASSERT(left.erase({op.weights, op.weights_batch}) == std::size_t{1});
      }
    }
    RC_ASSERT(forwards.size() == static_cast<std::size_t>(shape.micro_batches));
    RC_ASSERT(backwards == forwards);
    RC_ASSERT(left.empty());
  }
}

class PipelineNetwork : public ::testing::Test {
 protected:
  const Cluster cluster_ = build_cluster(testing::tiny_spec());
  const PathFinder finder_{cluster_, PathPolicy::kEcmp, 1};
  /// A node a stage: a megabyte takes 100 us over the NIC.
  const StageTransfers transfers_{.finder = &finder_,
                                  .capacity = usable_capacities(cluster_),
                                  .network = {},
                                  .ranks = 2,
                                  .bytes = bytes(1e6)};
};

// One micro-batch there and back, with 100 us and the latency each time.
TEST_F(PipelineNetwork, RowsTravelBetweenStages) {
  Pipeline pipeline = pipeline_of({.stages = 2, .micro_batches = 1});
  pipeline.transfers = &transfers_;
  const SimTime latency = ticks(finder_.find(GpuId{0}, GpuId{2}, 0).latency);
  const PipelineResult run = run_pipeline(pipeline);
  EXPECT_EQ(run.flows, 4);
  EXPECT_EQ(run.end(), us(2 + 100 + 2 + 4 + 100 + 4) + latency + latency);
}

// Gathers of 10 us before passes of 2 and 4 us: the first two start at once, one after the other,
// the others when the pass before the last one has ended, so 4 * 10 us and the last pass.
TEST(PipelineExchanges, GathersHoldPasses) {
  Pipeline pipeline = pipeline_of({.stages = 1, .micro_batches = 2});
  pipeline.exchanges = {{.gather = us(10)}};
  EXPECT_EQ(run_pipeline(pipeline).end(), us(44));
  pipeline.exchanges = {{.gather = us(1)}};  // 1 us before the first pass, the others hidden
  EXPECT_EQ(run_pipeline(pipeline).end(), us(13));
}

// Reduces of 5 us after the backward passes at 6 and 12 us: to 17 us beside the passes, else the
// third pass begins at 11 us and the last reduce ends at 22 us.
TEST(PipelineExchanges, ReducesRunBesidePassesOrHoldThem) {
  Pipeline pipeline = pipeline_of({.stages = 1, .micro_batches = 2});
  pipeline.exchanges = {{.reduce = us(5), .overlaps = true}};
  PipelineResult run = run_pipeline(pipeline);
  EXPECT_EQ(run.end(), us(12));
  EXPECT_EQ(run.stages[0].reduced, us(17));
  pipeline.exchanges = {{.reduce = us(5), .overlaps = false}};
  run = run_pipeline(pipeline);
  EXPECT_EQ(run.end(), us(17));
  EXPECT_EQ(run.stages[0].reduced, us(22));
}

/// Up to 6 stages of up to 4 parts.
PipelineShape any_shape() {
  PipelineShape shape;
  shape.stages = *rc::gen::inRange(1, 7);
  shape.virtual_stages = shape.stages > 1 ? *rc::gen::inRange(1, 5) : 1;
  shape.micro_batches = shape.stages * *rc::gen::inRange(1, 5);
  return shape;
}

RC_GTEST_PROP(PipelineTheorem, EqualStagesHaveTheClosedForm, ()) {
  const PipelineShape shape = any_shape();
  const auto f = *rc::gen::inRange<std::int64_t>(1, 1000);
  const Pipeline pipeline = pipeline_of(shape, {{f}, {2 * f}, {2 * f}});
  const std::int64_t both = 3 * f;
  RC_ASSERT(run_pipeline(pipeline).end().picoseconds ==
            shape.micro_batches * shape.virtual_stages * both + (shape.stages - 1) * both);
}

RC_GTEST_PROP(PipelineTheorem, EveryPassRunsOnceAndNoneIsFasterThanItsStage, ()) {
  PipelineShape shape = any_shape();
  shape.pairs = *rc::gen::arbitrary<bool>();
  Pipeline pipeline;
  pipeline.shape = shape;
  for (int part = 0; part < shape.parts(); ++part) {
    const auto f = *rc::gen::inRange<std::int64_t>(1, 1000);
    const auto b = *rc::gen::inRange<std::int64_t>(1, 1000);
    pipeline.times.push_back({{{f}, {b}, {std::max(f, b)}}});
  }
  const PipelineResult run = run_pipeline(pipeline);
  for (int s = 0; s < shape.stages; ++s) {
    std::set<std::pair<int, int>> forwards;
    std::set<std::pair<int, int>> backwards;
    for (const PipelineOp& op : one_forward_one_backward(shape, s)) {
      if (op.forward >= 0) {
        RC_ASSERT(op.forward % shape.stages == s);
        RC_ASSERT(forwards.emplace(op.forward, op.forward_batch).second);
      }
      if (op.backward >= 0) {
        RC_ASSERT(backwards.emplace(op.backward, op.backward_batch).second);
      }
    }
    const auto passes = static_cast<std::size_t>(shape.virtual_stages * shape.micro_batches);
    RC_ASSERT(forwards.size() == passes);
    RC_ASSERT(backwards == forwards);
    RC_ASSERT(run.stages[static_cast<std::size_t>(s)].busy <= run.end());
  }
}

}  // namespace
}  // namespace moesim
