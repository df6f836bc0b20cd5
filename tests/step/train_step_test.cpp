// SPDX-License-Identifier: Apache-2.0
// Training steps, the collectives and the arithmetic behind them.
#include "sim/step/train_step.hpp"

#include <gtest/gtest.h>

#include <numeric>

#include "sim/step/collectives.hpp"
#include "sim/step/memory.hpp"
#include "sim/step/model_flops.hpp"
#include "sim/step/pass_graph.hpp"
#include "sim/step/program.hpp"
#include "tests/step/whole_fixtures.hpp"

namespace moesim {
namespace {

using testing::ShiftedRouting;
using testing::toy_model;

SimTime part(const WholeStepResult& result, WholePart which) {
  return result.parts[static_cast<std::size_t>(which)];
}

class Rings : public ::testing::Test {
 protected:
  [[nodiscard]] Seconds time(const std::vector<std::vector<GpuId>>& groups, Bytes size) const {
    return ring_time(fabric_, groups, size);
  }
  [[nodiscard]] Seconds latency(int from, int to) const {
    return finder_.find(GpuId{from}, GpuId{to}, 0).latency;
  }

  const Cluster cluster_ = build_cluster(testing::tiny_spec());
  const PathFinder finder_{cluster_, PathPolicy::kRailAligned, 1};
  const RingFabric fabric_{.cluster = &cluster_,
                           .finder = &finder_,
                           .capacity = usable_capacities(cluster_),
                           .engine = NetworkEngine::kFluid,
                           .start = microseconds(5)};
};

// Each of 2 GPUs sends half of 80 MB over its NIC of 10 GB/s: 4 ms, after 5 us and one hop.
TEST_F(Rings, ByHandBetweenTwoNodes) {
  EXPECT_NEAR(
      time({{GpuId{0}, GpuId{2}}}, bytes(80e6)).value, 4e-3 + 5e-6 + latency(0, 2).value, 1e-11);
}

// Two rings through 4 GPUs share 80 MB, 3/4 of which pass every member: 30 MB over each NIC.
TEST_F(Rings, UseEveryNicOfADomain) {
  const double flows = 30e6 / 10e9;
  EXPECT_NEAR(time({{GpuId{0}, GpuId{1}, GpuId{2}, GpuId{3}}}, bytes(80e6)).value,
              flows + 5e-6 + 3 * latency(0, 2).value,
              2e-6);  // a ring closes over the other rail, with a hop more
}

// 80 MB halved over 100 GB/s of scale-up: 400 us.
TEST_F(Rings, StayInsideADomain) {
  EXPECT_NEAR(time({{GpuId{0}, GpuId{1}}, {GpuId{2}, GpuId{3}}}, bytes(80e6)).value,
              400e-6 + 5e-6 + latency(0, 1).value,
              1e-11);
}

TEST_F(Rings, CostNothingAloneOrWithoutBytes) {
  EXPECT_EQ(time({{GpuId{0}}}, bytes(80e6)).value, 0);
  EXPECT_EQ(time({{GpuId{0}, GpuId{2}}}, bytes(0)).value, 0);
}

// Megatron-Bridge reports 203 Tflop/s at 8,826 tokens/s a GPU for Qwen3-30B-A3B at 4,096 tokens:
// 23.0 Gflop a token.
TEST(ModelFlops, OfQwen3AreThoseThatItsPublishedFiguresImply) {
  WholeModel m;
  ModelShape& shape = m.step.model;
  shape.hidden_size = 2048;
  shape.layers = shape.moe_layers = 48;
  shape.num_experts = 128;
  shape.top_k = 8;
  shape.expert_width = 768;
  shape.vocabulary = 151936;
  shape.attention = {
      .kind = AttentionKind::kGqa, .heads = 32, .kv_heads = 4, .head_dim = 128, .qk_norm = true};
  m.kind = StepKind::kTrain;
  m.step.ranks = 16;
  m.parallel = {.ep = 16};
  m.batch = {.tokens_per_rank = 4096, .context_tokens = 4096, .micro_batches = 64};
  const double tokens = 4096.0 * 16 * 64;
  EXPECT_NEAR(step_flops(m).value / tokens, 203e12 / 8826, 0.1e9);
  // A decode step: 2 flops a weight but the input table, and 4 heads head_dim context a layer.
  m.kind = StepKind::kDecode;
  m.batch = {.tokens_per_rank = 3, .context_tokens = 1000};
  const double weights =
      static_cast<double>(active_parameters(shape) - embedding_parameters(shape));
  EXPECT_NEAR(step_flops(m).value,
              16 * 3 * (2 * weights + 4.0 * 32 * 128 * 1000 * 48),
              1e-9 * step_flops(m).value);
}

/// Two stages of 2 ranks each, one layer a stage, 4 micro-batches.
class TrainStep : public ::testing::Test {
 protected:
  TrainStep() {
    model_.kind = StepKind::kTrain;
    model_.batch = {
        .tokens_per_rank = 1000, .steps = 1, .context_tokens = 1000, .micro_batches = 4};
    model_.step.model.num_experts = 4;
    model_.step.ranks = 4;
  }
  static SimTime sum(const WholeStepResult& result) {
    return std::accumulate(result.parts.begin(), result.parts.end(), SimTime{});
  }
  /// A dense model on `ep` ranks with pp stages and dp copies.
  void make_dense(ParallelSpec parallel) {
    ModelShape& shape = model_.step.model;
    shape.moe_layers = shape.num_experts = shape.top_k = shape.expert_width = 0;
    shape.dense_width = 1000;
    model_.step.layers = 0;
    model_.step.placements.clear();
    model_.parallel = parallel;
    model_.step.ranks = parallel.ep;
  }
  /// Parameters of a rank of stage `stage`.
  [[nodiscard]] double parameters(int stage) const {
    const MemoryModel memory{.model = model_.step.model,
                             .parallel = model_.parallel,
                             .kind = StepKind::kTrain,
                             .batch = model_.batch,
                             .memory = {},
                             .capacity = {}};
    return static_cast<double>(stage_parameters(memory, stage).others);
  }

  ShiftedRouting routing_{1000, 2};
  WholeModel model_ = toy_model(2, routing_);
};

TEST_F(TrainStep, PartsSumToTheStep) {
  model_.step.dispatch.kind = DispatcherKind::kPairwise;
  model_.step.dispatch.sms = 20;
  for (const Overlap overlap : {Overlap::kNone, Overlap::kDualPipe}) {
    model_.overlap = overlap;
    const WholeStepResult result = simulate_train_step(model_, 0);
    EXPECT_EQ(sum(result), result.makespan);
    EXPECT_GT(part(result, WholePart::kDispatch), SimTime{});
    EXPECT_GT(part(result, WholePart::kGradients), SimTime{});
    EXPECT_GT(part(result, WholePart::kOptimiser), SimTime{});
    EXPECT_EQ(part(result, WholePart::kBubble), SimTime{});
  }
}

TEST_F(TrainStep, DualPipeHidesExchanges) {
  model_.batch.micro_batches = 8;
  const WholeStepResult one_by_one = simulate_train_step(model_, 0);
  model_.overlap = Overlap::kDualPipe;
  const WholeStepResult beside = simulate_train_step(model_, 0);
  EXPECT_LT(beside.makespan, one_by_one.makespan);
}

// One rank, no copies: 4 micro-batches forwards and backwards and the optimiser, whose 30 B a
// parameter take their time of a memory made slow.
TEST_F(TrainStep, OfOneRankIsItsPassesAndTheOptimiser) {
  make_dense({.ep = 1});
  model_.step.cluster.gpu.memory_bandwidth = gigabytes_per_second(1000);
  const PassShape shape{.layers = {0, 2}, .head = true};
  const Pass forward{forward_program(model_.step.model, shape), pass_load(model_), {}};
  const Pass backward{backward_program(model_.step.model, shape), pass_load(model_), {}};
  const SimTime both = run_passes(model_, std::array{forward}).makespan +
                       run_passes(model_, std::array{backward}).makespan;
  const WholeStepResult result = simulate_train_step(model_, 0);
  EXPECT_EQ(part(result, WholePart::kOptimiser), ticks(seconds(30 * parameters(0) / 1e12)));
  EXPECT_EQ(result.makespan, SimTime{4 * both.picoseconds} + part(result, WholePart::kOptimiser));
  EXPECT_EQ(result.flows, 0);
}

// Two copies, on one GPU of each node: fp32 gradients go both ways round a ring of two, half of
// them over the NIC each time. Beside the backward pass all but half of it (one of two layers) is
// hidden, since the pass is made longer than that. ZeRO 1 gathers bf16 weights instead of half of
// the gradients' way, and each copy updates half of the parameters.
TEST_F(TrainStep, GradientsOfCopiesAreReduced) {
  make_dense({.ep = 2, .tp = 2, .dp = 2});
  model_.training.overlap_gradients = false;
  const double bytes_of_gradients = 4 * parameters(0);
  const double once = bytes_of_gradients / 2 / 10e9;
  WholeStepResult result = simulate_train_step(model_, 0);
  EXPECT_NEAR(part(result, WholePart::kGradients).to_seconds().value, 2 * once, 50e-6);
  const SimTime whole = part(result, WholePart::kGradients);
  model_.training.overlap_gradients = true;
  model_.step.cluster.gpu.bf16_rate = teraflops_per_second(0.5);
  result = simulate_train_step(model_, 0);
  EXPECT_EQ(part(result, WholePart::kGradients).picoseconds, whole.picoseconds / 2);

  model_.training.zero_stage = 1;
  model_.training.overlap_gradients = false;
  model_.step.cluster.gpu.memory_bandwidth = gigabytes_per_second(1000);
  result = simulate_train_step(model_, 0);
  EXPECT_NEAR(part(result, WholePart::kGradients).to_seconds().value, once, 50e-6);
  EXPECT_NEAR(part(result, WholePart::kWeights).to_seconds().value, once / 2, 50e-6);
  EXPECT_EQ(part(result, WholePart::kOptimiser), ticks(seconds(15 * parameters(0) / 1e12)));
  EXPECT_EQ(sum(result), result.makespan);
}

// ZeRO 2 reduces after each of 4 backward passes; ZeRO 3 gathers before each of 8 passes besides,
// longer than the passes, so that one gather follows the other.
TEST_F(TrainStep, HigherStagesOfZeroSendMore) {
  make_dense({.ep = 2, .tp = 2, .dp = 2});
  model_.step.cluster.gpu.bf16_rate = teraflops_per_second(1e6);
  model_.training.overlap_gradients = false;
  const double once = 4 * parameters(0) / 2 / 10e9;
  model_.training.zero_stage = 2;
  WholeStepResult result = simulate_train_step(model_, 0);
  EXPECT_NEAR(part(result, WholePart::kGradients).to_seconds().value, 4 * once, 200e-6);
  EXPECT_NEAR(part(result, WholePart::kWeights).to_seconds().value, once / 2, 50e-6);
  model_.training.zero_stage = 3;
  result = simulate_train_step(model_, 0);
  SimTime passes;  // mostly exchanges inside the TP group, beside which weights are gathered
  for (std::size_t i = 0; i < static_cast<std::size_t>(WholePart::kSlowed); ++i) {
    passes += result.parts[i];
  }
  EXPECT_NEAR((passes + part(result, WholePart::kWeights)).to_seconds().value, 4 * once, 200e-6);
  EXPECT_EQ(sum(result), result.makespan);
}

// Two stages with one layer each; the head makes the second one longer.
TEST_F(TrainStep, PipelinesHaveBubblesAndSendRows) {
  make_dense({.ep = 2, .pp = 2});
  const WholeStepResult result = simulate_train_step(model_, 0);
  EXPECT_GT(part(result, WholePart::kBubble), SimTime{});
  EXPECT_GT(part(result, WholePart::kPipeline), SimTime{});
  EXPECT_EQ(result.flows, 4 * 2 * 2);  // micro-batches, ranks, both ways
  EXPECT_EQ(sum(result), result.makespan);
  model_.parallel.virtual_stages = 1;
  model_.step.model.layers = 4;
  const SimTime plain = part(simulate_train_step(model_, 0), WholePart::kBubble);
  model_.parallel.virtual_stages = 2;
  EXPECT_LT(part(simulate_train_step(model_, 0), WholePart::kBubble), plain);
}

// A layer's forward pass runs again: attention and FFN take 3 times the forward time instead of 2,
// the core of attention 3.5 times.
TEST_F(TrainStep, RecomputationCostsAForwardPass) {
  make_dense({.ep = 1});
  const PassShape shape{.layers = {0, 2}, .head = false};
  const Pass forward{forward_program(model_.step.model, shape), pass_load(model_), {}};
  const std::int64_t f = run_passes(model_, std::array{forward}).makespan.picoseconds;
  const SimTime kept = simulate_train_step(model_, 0).makespan;
  model_.training.recompute = Recompute::kFull;
  EXPECT_EQ(simulate_train_step(model_, 0).makespan - kept, SimTime{4 * f});
  model_.training.recompute = Recompute::kSelective;
  model_.step.cluster.gpu.memory_bandwidth = gigabytes_per_second(1000);
  const SimTime selective = simulate_train_step(model_, 0).makespan;
  model_.training.recompute = Recompute::kNone;
  EXPECT_GT(selective, simulate_train_step(model_, 0).makespan);
}

// The host needs 1 ms a layer forwards, 2 ms backwards; the GPU a few us: 4 micro-batches of two
// layers, 4 * 6 ms.
TEST_F(TrainStep, WaitsForTheHost) {
  make_dense({.ep = 1});
  const WholeStepResult free = simulate_train_step(model_, 0);
  EXPECT_EQ(part(free, WholePart::kHost), SimTime{});
  model_.host_layer = microseconds(1000);
  const WholeStepResult held = simulate_train_step(model_, 0);
  EXPECT_EQ(held.makespan - part(held, WholePart::kOptimiser), ticks(microseconds(24000)));
  EXPECT_EQ(sum(held), held.makespan);
  EXPECT_GT(part(held, WholePart::kHost), SimTime{});
}

/// A pass of two MoE layers and the head.
SimTime two_moe_layers(WholeModel m, double host_us, bool backward) {
  m.kind = StepKind::kTrain;
  m.host_layer = microseconds(host_us);
  const std::vector<PreparedLayer> layers = {prepare_layer(m.step, 0, 0),
                                             prepare_layer(m.step, 0, 1)};
  const PassShape shape{.layers = {0, 2}, .head = true};
  const Pass pass{
      backward ? backward_program(m.step.model, shape) : forward_program(m.step.model, shape),
      pass_load(m),
      layers};
  return run_passes(m, std::array{pass}).makespan;
}

// Forwards the host waits for the counts of each layer. From gate to gate the GPU takes a layer, L;
// the rest of the pass, L and the head, hides the host's work for the other layer only. L is what
// one layer more takes. Backwards, with shapes known before or without counts nothing waits.
TEST_F(TrainStep, TheHostCannotRunAheadOfTheCountsItWaitsFor) {
  const ShiftedRouting routing(1000, 2);
  WholeModel m = toy_model(2, routing);
  m.step.dispatch.kind = DispatcherKind::kPairwise;
  m.step.model.vocabulary = 100000;
  const double forward = two_moe_layers(m, 0, false).to_seconds().value;
  const double backward = two_moe_layers(m, 0, true).to_seconds().value;
  WholeModel bare = m;
  bare.step.model.vocabulary = 1;
  const double layer = two_moe_layers(bare, 0, false).to_seconds().value / 2;
  const double host = 1.5 * layer;
  constexpr double kHead = 2e-8;  // of the one column left
  ASSERT_LT(2 * host, forward);
  EXPECT_NEAR(
      two_moe_layers(m, host * 1e6, false).to_seconds().value, forward + host - layer, kHead);
  EXPECT_NEAR(two_moe_layers(m, host * 1e6, true).to_seconds().value, backward, 1e-11);
  EXPECT_NEAR(two_moe_layers(m, backward * 1e6, true).to_seconds().value, 4 * backward, 1e-11);
  m.step.capacity.policy = OverflowPolicy::kPad;
  EXPECT_EQ(two_moe_layers(m, host * 1e6, false), two_moe_layers(m, 0, false));
  m.step.capacity.policy = OverflowPolicy::kNone;
  m.step.dispatch.kind = DispatcherKind::kLowLatency;
  EXPECT_EQ(two_moe_layers(m, host * 1e6, false), two_moe_layers(m, 0, false));
}

// 1 TB/s, 1000 tokens a rank of 2000 B, one expert each: sums of one row a token read and write as
// much as they bring, 4 us; with a row an assignment another kernel copies as much before the
// dispatch. Backwards each kernel that moves rows runs once, the rest twice.
TEST_F(TrainStep, RowsAreBroughtBackInOrder) {
  const ShiftedRouting routing(1000, 2);
  WholeModel m = toy_model(1, routing);
  m.kind = StepKind::kTrain;
  m.step.cluster.gpu.memory_bandwidth = gigabytes_per_second(1000);
  m.step.constants.combine_sums = true;
  const auto times = [&](DispatcherKind kind, Op op, bool backward) {
    m.step.dispatch.kind = kind;
    const std::vector<PreparedLayer> layers = {prepare_layer(m.step, 0, 0)};
    const PassCosts costs =
        pass_costs(m, {m.step.cluster.gpu, m.step.constants}, pass_load(m), layers, true);
    return step_time(costs, {op, 0, backward}, 0, 0, 1.0).to_seconds().value;
  };
  for (const auto kind :
       {DispatcherKind::kPairwise, DispatcherKind::kNccl, DispatcherKind::kLowLatency}) {
    const double moved = kind == DispatcherKind::kLowLatency ? 0 : 4e-6;
    const double before = kind == DispatcherKind::kNccl ? 4e-6 : 0;
    m.step.constants.expert_return = false;
    const double experts = times(kind, Op::kExperts, false);
    const double experts_back = times(kind, Op::kExperts, true);
    const double gate = times(kind, Op::kGate, false);
    const double gate_back = times(kind, Op::kGate, true);
    m.step.constants.expert_return = true;
    EXPECT_NEAR(times(kind, Op::kExperts, false), experts + moved, 2e-12);
    EXPECT_NEAR(times(kind, Op::kGate, false), gate + before, 2e-12);
    // The gather, 4 us as well, was counted twice before.
    EXPECT_NEAR(times(kind, Op::kExperts, true), experts_back, 4e-12);
    EXPECT_NEAR(times(kind, Op::kGate, true), gate_back, 4e-12);
  }
}

// Every weight's fp32 gradient is read and written in each of 4 backward passes, 8 B of a memory of
// 1 TB/s; in bf16 half of it.
TEST_F(TrainStep, GradientsOfMicroBatchesAreAddedUp) {
  make_dense({.ep = 1});
  model_.step.cluster.gpu.memory_bandwidth = gigabytes_per_second(1000);
  model_.step.model.tied_embeddings = true;
  const auto passes = [&] {
    const WholeStepResult result = simulate_train_step(model_, 0);
    return (result.makespan - part(result, WholePart::kOptimiser)).to_seconds().value;
  };
  const double fp32 = passes();
  model_.training.gradient_dtype = Dtype::kBf16;
  const ModelShape& shape = model_.step.model;
  const double weights =
      2.0 * static_cast<double>(attention_parameters(shape) +
                                ffn_parameters(shape, shape.dense_width, shape.dense_gated)) +
      static_cast<double>(embedding_parameters(shape));
  EXPECT_NEAR(fp32 - passes(), 4 * weights * 4 / 1e12, 1e-10);
}

// 4 stages of a layer each, 8 micro-batches: DualPipe's steps end sooner than those of pairs in one
// direction, its parts add up, and each part's copies on both of its stages reduce their gradients.
TEST_F(TrainStep, DualPipeTakesMicroBatchesFromBothEnds) {
  model_.step.dispatch.kind = DispatcherKind::kPairwise;
  testing::set_four_stages(model_);
  const WholeStepResult pairs = simulate_train_step(model_, 0);
  model_.training.schedule = Schedule::kDualPipe;
  const WholeStepResult both_ends = simulate_train_step(model_, 0);
  EXPECT_EQ(sum(both_ends), both_ends.makespan);
  EXPECT_LT(part(both_ends, WholePart::kBubble), part(pairs, WholePart::kBubble));
  EXPECT_GT(part(both_ends, WholePart::kGradients), SimTime{});
}

// Routings alike, so that samples change nothing; the passes are counted for the progress.
TEST_F(TrainStep, SamplesAreCountedAndAlikeWhereRoutingIs) {
  const SimTime one = simulate_train_step(model_, 0).makespan;
  model_.training.samples = 3;
  int passes = 0;
  TrainControl control;
  control.on_pass = [&] { ++passes; };
  EXPECT_EQ(simulate_train_step(model_, 0, control).makespan, one);
  EXPECT_EQ(passes, 6);
  EXPECT_EQ(num_passes(model_), 6);
  const std::atomic<bool> stop{true};
  control.cancelled = &stop;
  EXPECT_ANY_THROW((void)simulate_train_step(model_, 0, control));
}

}  // namespace
}  // namespace moesim
