// SPDX-License-Identifier: Apache-2.0
// What is kept of a training step: its passes in their places, and the bytes of its links by hand.
#include "sim/step/train_trace.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "tests/step/whole_fixtures.hpp"

namespace moesim {
namespace {

using testing::ShiftedRouting;
using testing::toy_model;

class TrainTraces : public ::testing::Test {
 protected:
  TrainTraces() {
    model_.kind = StepKind::kTrain;
    model_.batch = {
        .tokens_per_rank = 1000, .steps = 1, .context_tokens = 1000, .micro_batches = 4};
    model_.step.dispatch.kind = DispatcherKind::kPairwise;
    model_.step.dispatch.sms = 20;
  }
  /// A dense model: nothing but TP exchanges and rows between stages on the links.
  void make_dense(ParallelSpec parallel) {
    ModelShape& shape = model_.step.model;
    shape.moe_layers = shape.num_experts = shape.top_k = shape.expert_width = 0;
    shape.dense_width = 1000;
    model_.step.layers = 0;
    model_.step.placements.clear();
    model_.parallel = parallel;
    model_.step.ranks = parallel.ep;
  }
  /// 4 stages of 4 ranks, two copies of every part.
  void make_dualpipe() {
    testing::set_four_stages(model_);
    model_.training.schedule = Schedule::kDualPipe;
  }
  [[nodiscard]] TrainTrace trace(const TraceLimits& limits = {}) const {
    return trace_train_step(model_, 0, simulate_train_step(model_, 0).makespan, {}, limits);
  }
  static double sum(const std::vector<double>& values) {
    return std::accumulate(values.begin(), values.end(), 0.0);
  }
  [[nodiscard]] static double bytes_on(const TrainTrace& trace, LinkKind kind) {
    return sum(trace.links.kind_bytes[static_cast<std::size_t>(kind)]);
  }

  ShiftedRouting routing_{1000, 2};
  WholeModel model_ = toy_model(2, routing_);
};

// trace_train_step itself checks that its step ends when the simulated one does.
TEST_F(TrainTraces, TurnsOfAStageFollowOneAnotherAndEndWithTheStep) {
  make_dualpipe();
  for (const int zero : {0, 1, 2, 3}) {
    model_.training.zero_stage = zero;
    const TrainTrace traced = trace();
    ASSERT_EQ(traced.ops.size(), 4U);
    SimTime last;
    for (std::size_t s = 0; s < 4; ++s) {
      SimTime before;
      std::map<int, int> forwards;
      for (const StageOp& op : traced.ops[s]) {
        EXPECT_GE(op.start, before);
        before = op.end;
        if (op.record >= 0 && op.has_detail()) {
          EXPECT_EQ(op.end - op.start,
                    traced.records[static_cast<std::size_t>(op.record)].makespan);
        }
        forwards[op.op.forward] += op.op.forward >= 0 ? 1 : 0;
      }
      EXPECT_EQ(forwards[static_cast<int>(s)], 4);      // half of the micro-batches
      EXPECT_EQ(forwards[3 - static_cast<int>(s)], 4);  // and those from the other end
      for (const StageExchange& exchange : traced.exchanges[s]) {
        last = std::max(last, exchange.end);
      }
      last = std::max(last, before);
    }
    EXPECT_EQ(last, traced.makespan) << zero;
  }
}

// What a rank computes and sends is inside its pass, on tracks where nothing overlaps.
TEST_F(TrainTraces, SpansOfATrackAreApartOrInsideOneAnother) {
  make_dualpipe();
  model_.training.recompute = Recompute::kFull;
  const TrainTrace traced = trace();
  std::map<PassDirection, int> directions;
  for (const PassRecord& record : traced.records) {
    std::map<std::pair<int, int>, std::vector<const PassSpan*>> tracks;
    for (const PassSpan& span : record.spans) {
      EXPECT_LE(span.end, record.makespan);
      ++directions[span.direction];
      tracks[{span.rank, static_cast<int>(span.track)}].push_back(&span);
    }
    for (const auto& [track, spans] : tracks) {
      for (const PassSpan* a : spans) {
        for (const PassSpan* b : spans) {
          const bool apart = a->end <= b->start || b->end <= a->start;
          const bool inside = (a->start <= b->start && b->end <= a->end) ||
                              (b->start <= a->start && a->end <= b->end);
          EXPECT_TRUE(apart || inside) << a->name << ", " << b->name;
        }
      }
    }
  }
  EXPECT_GT(directions[PassDirection::kForward], 0);
  EXPECT_GT(directions[PassDirection::kBackward], 0);
  EXPECT_GT(directions[PassDirection::kRecompute], 0);
}

// Stage 0 on node 0, stage 1 on node 1: every rank sends 1,000 rows of 2,000 B for each of 4
// micro-batches and gets as many gradients back: 2 * 4 * 2 * 2 MB from NIC to NIC, which two links
// of the fabric carry. Nothing moves over NVLink.
TEST_F(TrainTraces, RowsBetweenStagesAreOnTheNicsOfAllCopies) {
  make_dense({.ep = 2, .pp = 2});
  const TrainTrace traced = trace();
  EXPECT_NEAR(bytes_on(traced, LinkKind::kNic), 2 * 2 * 4 * 2 * 2e6, 1);
  EXPECT_EQ(bytes_on(traced, LinkKind::kScaleUp), 0);
  EXPECT_EQ(traced.rows.size(), 2U * 4 * 2);
  double sent = 0;
  for (const StageRows& row : traced.rows) {
    sent += row.bytes;
    EXPECT_NE(row.rows.source, row.rows.target);
    EXPECT_GT(row.end, row.start);
  }
  EXPECT_NEAR(sent, 2 * 4 * 2 * 2e6, 1);
}

// TP exchanges are inside a node: each of two ranks sends its 1,000 rows of 2,000 B to the other
// one over two links. 4 micro-batches through 2 layers: a layer has 4 exchanges each way, the first
// of the model 3. Two copies.
TEST_F(TrainTraces, ExchangesOfPassesAreOnNvlink) {
  make_dense({.ep = 2, .tp = 2, .dp = 2});
  const TrainTrace traced = trace();
  const double exchange = 2 * 2 * 2e6;
  EXPECT_NEAR(bytes_on(traced, LinkKind::kScaleUp), 2 * 4 * 2 * 7 * exchange, 10);
  EXPECT_TRUE(traced.links.is_exact);
  EXPECT_EQ(traced.copies, 2);
}

TEST_F(TrainTraces, FewerRanksUntilTheLimitsHold) {
  make_dualpipe();
  const TrainTrace all = trace();
  EXPECT_EQ(all.shown.size(), 16U);
  const TrainTrace few = trace({.ranks = 8});
  EXPECT_EQ(few.shown.size(), 8U);
  EXPECT_EQ(few.makespan, all.makespan);
  EXPECT_EQ(few.links.kind_bytes, all.links.kind_bytes);  // of all ranks all the same
  EXPECT_EQ(trace({.spans = 1}).shown.size(), 1U);
  EXPECT_EQ(trace({.flows = 1}).shown.size(), 1U);
  const TrainTrace half = trace({.flows = all.rows.size()});
  EXPECT_LT(half.shown.size(), 16U);
  EXPECT_LT(half.rows.size(), all.rows.size());
}

// Thinned out twice: what is shown was recorded.
TEST_F(TrainTraces, EveryShownRankHasItsSpans) {
  make_dualpipe();
  const TrainTrace all = trace({.ranks = 8});
  std::size_t spans = 0;
  for (const PassRecord& record : all.records) {
    spans += record.spans.size();
  }
  const TrainTrace few = trace({.ranks = 8, .spans = spans});
  ASSERT_LT(few.shown.size(), 8U);
  ASSERT_GT(few.shown.size(), 1U);
  for (const RankId rank : few.shown) {
    for (const StageOp& op : few.ops[rank.index() / 4]) {
      if (op.has_detail()) {
        const auto& own = few.records[static_cast<std::size_t>(op.record)].spans;
        EXPECT_TRUE(std::any_of(own.begin(), own.end(), [&](const PassSpan& span) {
          return span.rank == rank.value % 4;
        })) << rank.value;
      }
    }
  }
}

}  // namespace
}  // namespace moesim
