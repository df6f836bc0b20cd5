// SPDX-License-Identifier: Apache-2.0
// What overlapping hides, what it costs, and the programs that say what runs beside what.
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include <numeric>

#include "sim/step/micro_batch.hpp"
#include "sim/step/pass_graph.hpp"
#include "sim/step/program.hpp"
#include "sim/step/whole_step.hpp"
#include "tests/step/whole_fixtures.hpp"

namespace moesim {
namespace {

using testing::ShiftedRouting;
using testing::toy_model;

SimTime part(const WholeStepResult& result, WholePart which) {
  return result.parts[static_cast<std::size_t>(which)];
}

std::vector<Op> ops(const Program& program) {
  std::vector<Op> found;
  for (const ProgramStep& step : program) {
    found.push_back(step.op);
  }
  return found;
}

/// One dense layer, one MoE layer with a shared expert.
ModelShape two_layers() {
  ModelShape shape;
  shape.layers = 2;
  shape.moe_layers = 1;
  shape.first_moe_layer = 1;
  shape.shared_experts = 1;
  return shape;
}

TEST(Program, PutsTheSharedExpertWhereTheOverlapSays) {
  const ModelShape shape = two_layers();
  PassShape pass{.layers = {1, 2}, .head = false};
  EXPECT_THAT(ops(forward_program(shape, pass)),
              ::testing::ElementsAre(Op::kAttention,
                                     Op::kGate,
                                     Op::kDispatch,
                                     Op::kExperts,
                                     Op::kShared,
                                     Op::kCombine,
                                     Op::kReduce));
  pass.overlap = Overlap::kSharedExpert;
  EXPECT_THAT(ops(forward_program(shape, pass)),
              ::testing::ElementsAre(Op::kAttention,
                                     Op::kGate,
                                     Op::kDispatch,
                                     Op::kShared,
                                     Op::kExperts,
                                     Op::kCombine,
                                     Op::kReduce));
  pass.overlap = Overlap::kTwoBatch;
  EXPECT_THAT(ops(forward_program(shape, pass)),
              ::testing::ElementsAre(Op::kAttention,
                                     Op::kGate,
                                     Op::kDispatch,
                                     Op::kYield,
                                     Op::kExperts,
                                     Op::kCombine,
                                     Op::kYield,
                                     Op::kShared,
                                     Op::kReduce));
}

TEST(Program, GathersRowsButThoseOfTheFirstLayer) {
  const PassShape pass{.layers = {0, 1}, .head = true, .tp = 2};
  EXPECT_THAT(ops(forward_program(two_layers(), pass)),
              ::testing::ElementsAre(
                  Op::kAttention, Op::kGather, Op::kGather, Op::kDense, Op::kGather, Op::kHead));
  EXPECT_THAT(ops(backward_program(two_layers(), pass)),
              ::testing::ElementsAre(
                  Op::kHead, Op::kGather, Op::kDense, Op::kGather, Op::kGather, Op::kAttention));
}

TEST(Program, RunsForwardsAgainBeforeABackwardPassWithFullRecomputation) {
  ModelShape shape = two_layers();
  shape.shared_experts = 0;
  const PassShape pass{.layers = {1, 2}, .head = false, .recompute = Recompute::kFull};
  const Program program = backward_program(shape, pass);
  EXPECT_THAT(ops(program),
              ::testing::ElementsAre(Op::kAttention,
                                     Op::kGate,
                                     Op::kDispatch,
                                     Op::kExperts,
                                     Op::kCombine,
                                     Op::kReduce,
                                     Op::kReduce,
                                     Op::kDispatch,
                                     Op::kExperts,
                                     Op::kCombine,
                                     Op::kGate,
                                     Op::kAttention));
  EXPECT_FALSE(program[5].backward);
  EXPECT_TRUE(program[6].backward);
}

TEST(Halves, CutBetweenSequencesOrInsideOne) {
  const ShiftedRouting routing(1000, 2);
  WholeModel m = toy_model(1, routing);
  m.batch = {.tokens_per_rank = 5, .context_tokens = 300};
  std::array<MicroBatch, 2> parts = halves(m);
  EXPECT_EQ(parts[0].load.attention.sequences, 2);
  EXPECT_EQ(parts[1].load.attention.sequences, 3);
  EXPECT_EQ(parts[1].first_token, 2);
  EXPECT_EQ(parts[1].tokens, 3);
  m.kind = StepKind::kPrefill;
  m.batch = {.tokens_per_rank = 100, .context_tokens = 300};  // a chunk at the end of 300
  parts = halves(m);
  EXPECT_EQ(parts[0].load.attention.new_tokens, 50);
  EXPECT_EQ(parts[0].load.attention.context, 250);
  EXPECT_EQ(parts[0].load.head_rows, 0);
  EXPECT_EQ(parts[1].load.attention.context, 300);
  EXPECT_EQ(parts[1].load.head_rows, 1);
  EXPECT_EQ(parts[1].first_token, 50);
}

TEST(Halves, TakeTheirTokensOfEveryRank) {
  Routing routing{.num_experts = 8,
                  .top_k = 1,
                  .token_begin = {0, 3, 6},
                  .experts = {0, 1, 2, 3, 4, 5},
                  .weights = {0, 1, 2, 3, 4, 5}};
  const Routing second = tokens_of(routing, 1, 2);
  EXPECT_THAT(second.experts, ::testing::ElementsAre(1, 2, 4, 5));
  EXPECT_THAT(second.weights, ::testing::ElementsAre(1, 2, 4, 5));
  EXPECT_THAT(second.token_begin, ::testing::ElementsAre(0, 2, 4));
}

// Nothing is sent and exchanges start at once, so no order of the same work saves time.
TEST(SharedExpert, SavesNothingWhereNothingIsSent) {
  const ShiftedRouting own(1000, 0);
  WholeModel m = toy_model(3, own);
  m.step.model.shared_experts = 1;
  m.step.model.shared_expert_width = 500;
  const WholeStepResult alone = simulate_whole_step(m, 0);
  m.overlap = Overlap::kSharedExpert;
  EXPECT_EQ(simulate_whole_step(m, 0).makespan, alone.makespan);
  EXPECT_EQ(alone.flows, 0);
}

// A low-latency dispatch takes no multiprocessor, so a layer is shorter by the shorter of dispatch
// and shared expert.
TEST(SharedExpert, HidesTheShorterOfDispatchAndSharedExpert) {
  const ShiftedRouting away(1000, 2);
  for (const int width : {10, 100'000}) {
    WholeModel m = toy_model(3, away);
    m.step.model.shared_experts = 1;
    m.step.model.shared_expert_width = width;
    const WholeStepResult alone = simulate_whole_step(m, 0);
    WholeModel without = m;
    without.step.model.shared_experts = 0;
    const SimTime shared = part(alone, WholePart::kExperts) -
                           part(simulate_whole_step(without, 0), WholePart::kExperts);
    const SimTime dispatch = part(alone, WholePart::kDispatch);
    m.overlap = Overlap::kSharedExpert;
    const WholeStepResult beside = simulate_whole_step(m, 0);
    EXPECT_GT(shared, SimTime{});
    EXPECT_EQ(beside.makespan, alone.makespan - std::min(shared, dispatch)) << width;
    EXPECT_EQ(part(beside, WholePart::kSlowed), SimTime{});
  }
}

// Each half sends 0.5 MB over a NIC of 10 GB/s: 50 us for a dispatch, twice that for a combine of
// twice the bytes. Compute that takes longer hides all of it but the end of the last combine.
TEST(TwoBatch, HidesCommunicationBesideLongerCompute) {
  const ShiftedRouting away(1000, 2);
  WholeModel m = toy_model(4, away);
  m.step.model.expert_width = 100'000;
  m.step.model.attention.heads = 800;
  m.overlap = Overlap::kTwoBatch;
  const WholeStepResult run = simulate_whole_step(m, 0);
  EXPECT_EQ(part(run, WholePart::kDispatch), SimTime{});
  EXPECT_EQ(part(run, WholePart::kSlowed), SimTime{});
  m.overlap = Overlap::kNone;
  const WholeStepResult alone = simulate_whole_step(m, 0);
  const SimTime last_combine = {part(alone, WholePart::kCombine).picoseconds / 4};
  EXPECT_LE(part(run, WholePart::kCombine), last_combine);
  EXPECT_LT(run.makespan, alone.makespan - part(alone, WholePart::kDispatch));
}

// With next to no compute the exchanges follow one another on each rank: nothing is gained but
// nothing is lost either beyond what there is to compute.
TEST(TwoBatch, IsAsLongAsItsExchangesWhereTheyAreLonger) {
  const ShiftedRouting away(1000, 2);
  WholeModel m = toy_model(4, away);
  m.step.dispatch.kind = DispatcherKind::kPairwise;
  m.step.dispatch.sms = 0;  // none for the kernels, which keep their order all the same
  m.step.cluster.gpu.bf16_rate = teraflops_per_second(1e5);
  const WholeStepResult alone = simulate_whole_step(m, 0);
  m.overlap = Overlap::kTwoBatch;
  const WholeStepResult run = simulate_whole_step(m, 0);
  const SimTime exchanges = part(alone, WholePart::kDispatch) + part(alone, WholePart::kCombine);
  const SimTime computes = alone.makespan - exchanges;
  EXPECT_LT(computes.to_seconds().value, 0.01 * exchanges.to_seconds().value);
  EXPECT_NEAR(run.makespan.to_seconds() / exchanges.to_seconds(), 1.0, 0.06);  // latency of halves
}

// 50 of 100 multiprocessors: compute beside a kernel runs at half its pace, so the step is longer
// than with none taken, by what "slowed" says on its critical path.
TEST(TwoBatch, ComputeIsSlowedByTheMultiprocessorsOfKernels) {
  const ShiftedRouting away(1000, 2);
  WholeModel m = toy_model(4, away);
  m.step.model.expert_width = 100'000;
  m.step.model.attention.heads = 800;
  m.step.dispatch.kind = DispatcherKind::kPairwise;
  m.overlap = Overlap::kTwoBatch;
  m.step.dispatch.sms = 0;
  const WholeStepResult free = simulate_whole_step(m, 0);
  m.step.dispatch.sms = 50;
  const WholeStepResult slowed = simulate_whole_step(m, 0);
  EXPECT_EQ(part(free, WholePart::kSlowed), SimTime{});
  // Every exchange but the last combine lies beside compute, which loses half of its time.
  const SimTime beside = free.communication - part(free, WholePart::kCombine);
  EXPECT_NEAR(part(slowed, WholePart::kSlowed).to_seconds().value,
              beside.to_seconds().value / 2,
              0.02 * beside.to_seconds().value);
  EXPECT_NEAR((slowed.makespan - free.makespan).to_seconds().value,
              part(slowed, WholePart::kSlowed).to_seconds().value,
              0.02 * beside.to_seconds().value);
  EXPECT_EQ(slowed.makespan, std::accumulate(slowed.parts.begin(), slowed.parts.end(), SimTime{}));
}

// A pair is as long as its longer pass at least, and hides something.
TEST(DualPipe, RunsAForwardBesideABackwardPass) {
  const ShiftedRouting away(1000, 2);
  WholeModel m = toy_model(2, away);
  m.kind = StepKind::kTrain;
  m.overlap = Overlap::kDualPipe;
  std::vector<PreparedLayer> layers;
  layers.push_back(prepare_layer(m.step, 0, 0));
  layers.push_back(prepare_layer(m.step, 0, 1));
  const PassShape shape{.layers = {0, 2}, .head = true, .overlap = m.overlap};
  const Pass forward{forward_program(m.step.model, shape), pass_load(m), layers};
  const Pass backward{backward_program(m.step.model, shape), pass_load(m), layers};
  const SimTime f = run_passes(m, std::array{forward}).makespan;
  const SimTime b = run_passes(m, std::array{backward}).makespan;
  const SimTime both = run_passes(m, std::array{forward, backward}).makespan;
  EXPECT_GE(both, std::max(f, b));
  EXPECT_LT(both, f + b);
}

// The kernels move 2 bytes of memory traffic for each sent one; half of the bandwidth is the most
// they get.
TEST(BesideCommunication, LeavesWhatTheKernelsDoNotTake) {
  const ShiftedRouting away(1000, 2);
  WholeModel m = toy_model(1, away);
  m.step.dispatch = {.kind = DispatcherKind::kPairwise, .sms = 20};
  const std::vector<PreparedLayer> layers = {prepare_layer(m.step, 0, 0)};
  const PathFinder finder(m.step.cluster, PathPolicy::kEcmp, 1);
  PathTable paths(finder, testing::kRanks, PathScope::kAny);
  const std::vector<BytesPerSecond> capacity = usable_capacities(m.step.cluster);
  m.step.cluster.gpu.memory_bandwidth = gigabytes_per_second(200);
  ComputeModel left = beside_communication(m.step, layers, paths, capacity);
  EXPECT_EQ(left.gpu.sms, 80);
  EXPECT_DOUBLE_EQ(left.gpu.bf16_rate.value, 80e12);
  // Both ways at 10 GB/s less the latencies: a little below 20 of 200 GB/s.
  EXPECT_NEAR(left.gpu.memory_bandwidth.value, 181e9, 1e9);
  m.step.cluster.gpu.memory_bandwidth = gigabytes_per_second(10);
  left = beside_communication(m.step, layers, paths, capacity);
  EXPECT_DOUBLE_EQ(left.gpu.memory_bandwidth.value, 5e9);
  m.step.dispatch.kind = DispatcherKind::kLowLatency;
  EXPECT_EQ(beside_communication(m.step, layers, paths, capacity).gpu.sms, 100);
}

}  // namespace
}  // namespace moesim
