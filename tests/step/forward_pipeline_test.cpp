// SPDX-License-Identifier: Apache-2.0
// Steps of inference on stages: the closed form against every micro-batch, and whole steps by hand.
#include "sim/step/forward_pipeline.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <numeric>

#include "sim/core/rng.hpp"
#include "tests/step/whole_fixtures.hpp"

namespace moesim {
namespace {

/// Times by place: passes and the ways between them, in the order of a micro-batch's way.
std::vector<std::int64_t> places(const ForwardStages& s) {
  std::vector<std::int64_t> times;
  for (std::size_t i = 0; i < s.passes.size(); ++i) {
    times.push_back(s.passes[i].picoseconds);
    if (i < s.transfers.size()) {
      times.push_back(s.transfers[i].picoseconds);
    }
  }
  return times;
}

/// When micro-batch m leaves in each of `rounds` rounds, first come first served.
std::vector<std::int64_t> ends(const ForwardStages& s, int rounds) {
  const std::vector<std::int64_t> times = places(s);
  std::vector<std::int64_t> free(times.size());
  std::vector<std::int64_t> ready(static_cast<std::size_t>(s.micro_batches));
  std::vector<std::int64_t> last;
  for (int round = 0; round < rounds; ++round) {
    for (std::int64_t& batch : ready) {
      for (std::size_t p = 0; p < times.size(); ++p) {
        free[p] = batch = std::max(batch, free[p]) + times[p];
      }
    }
    last.push_back(ready.back());
  }
  return last;
}

RC_GTEST_PROP(ForwardPipeline, IsEveryMicroBatchOneByOne, (std::uint16_t seed)) {
  RngStream rng(seed, "forward pipeline");
  ForwardStages stages;
  const std::uint64_t count = 1 + rng.below(5);
  for (std::uint64_t s = 0; s < count; ++s) {
    stages.passes.push_back({1 + static_cast<std::int64_t>(rng.below(100))});
    if (s + 1 < count) {
      stages.transfers.push_back({static_cast<std::int64_t>(rng.below(60))});
    }
  }
  stages.micro_batches = 1 + static_cast<int>(rng.below(7));
  RC_ASSERT(forward_step(stages).picoseconds == ends(stages, 1).back());  // prefill
  stages.cycles = true;
  const std::vector<std::int64_t> rounds = ends(stages, 400);
  RC_ASSERT(forward_step(stages).picoseconds == rounds[399] - rounds[398]);
}

/// Four toy layers of four ranks on two stages: 8 GPUs. Every pass takes the same time.
struct TwoStages {
  testing::ShiftedRouting routing{1000, 0};  // every token stays at home
  WholeModel model = testing::toy_model(4, routing);

  TwoStages() {
    ClusterSpec spec = testing::tiny_spec();
    spec.nodes = 4;
    spec.gpu = model.step.cluster.gpu;
    spec.nic.bandwidth = gigabytes_per_second(1000);
    model.step.cluster = build_cluster(spec);
    model.parallel.pp = 2;
    model.batch.micro_batches = 2;
  }
};

SimTime part(const WholeStepResult& step, WholePart which) {
  return step.parts[static_cast<std::size_t>(which)];
}

// Two stages of half the layers: with two micro-batches both are always busy but for the head of
// the second stage, for which the first one waits, once a micro-batch.
TEST(ForwardPipeline, KeepsItsStagesBusyWithAMicroBatchEach) {
  TwoStages two;
  WholeModel one = two.model;
  one.parallel.pp = one.batch.micro_batches = 1;
  const WholeStepResult whole = simulate_whole_step(one, 0);
  const WholeStepResult step = simulate_whole_step(two.model, 0);
  const SimTime head = part(whole, WholePart::kHead);
  const SimTime transfer = stage_transfer_time(two.model, 0);
  ASSERT_GT(head, SimTime{});
  ASSERT_LT(transfer, head);
  EXPECT_EQ(step.makespan, whole.makespan + head);  // 2 * (half + head) = whole - head + 2 head
  EXPECT_EQ(part(step, WholePart::kBubble), head);
  EXPECT_EQ(part(step, WholePart::kPipeline), SimTime{});
  EXPECT_EQ(part(step, WholePart::kAttention), part(whole, WholePart::kAttention));
  two.model.batch.micro_batches = 1;
  const WholeStepResult idle = simulate_whole_step(two.model, 0);
  EXPECT_EQ(idle.makespan, whole.makespan + transfer);
  EXPECT_EQ(part(idle, WholePart::kPipeline), transfer);
  EXPECT_EQ(part(idle, WholePart::kBubble),
            whole.makespan - SimTime{whole.makespan.picoseconds / 2});
}

// Prefill fills and drains: three micro-batches of halves h and h + head.
TEST(ForwardPipeline, FillsAndDrainsInPrefill) {
  TwoStages two;
  WholeModel& m = two.model;
  m.kind = StepKind::kPrefill;
  m.batch.micro_batches = 3;
  WholeModel one = m;
  one.parallel.pp = one.batch.micro_batches = 1;
  const WholeStepResult whole = simulate_whole_step(one, 0);
  const SimTime head = part(whole, WholePart::kHead);
  const SimTime half{(whole.makespan - head).picoseconds / 2};
  const SimTime slowest = half + head;
  EXPECT_EQ(simulate_whole_step(m, 0).makespan,
            whole.makespan + stage_transfer_time(m, 0) + slowest + slowest);
}

// 1,000 rows of 1,000 * 2 B over a NIC of 1 TB/s are 2 us, beside the start and the latency.
TEST(ForwardPipeline, SendsTheRowsOfEveryRankToTheNextStage) {
  TwoStages two;
  const SimTime once = stage_transfer_time(two.model, 0);
  two.model.step.constants.communication_start = microseconds(7);
  EXPECT_EQ(stage_transfer_time(two.model, 0), once + ticks(microseconds(7)));
  two.model.batch.tokens_per_rank *= 2;
  EXPECT_NEAR((stage_transfer_time(two.model, 0) - once).to_seconds().value, 9e-6, 1e-11);
}

}  // namespace
}  // namespace moesim
