// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/layer/rank_plan.hpp"

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "gpu_ref/ops/fp8_gemm.hpp"
#include "tests/gpu_ref/support.hpp"

namespace moesim::gpu_ref {
namespace {

using ::testing::ElementsAre;

LayerSpec spec_of(int experts, int top_k, int ranks) {
  LayerSpec spec;
  spec.shape = {.hidden = 8, .expert_width = 8, .num_experts = experts, .top_k = top_k};
  spec.ranks = ranks;
  return spec;
}

bool operator==(const RowRun& a, const RowRun& b) {
  return a.from == b.from && a.to == b.to && a.count == b.count;
}

/// Two ranks, four experts; rank 0 sends 2, 1, 0, 3 rows, rank 1 sends 1, 0, 4, 1.
TEST(RankPlan, OfTwoRanksByHand) {
  const LayerSpec spec = spec_of(4, 2, 2);
  const CountMatrix kept{2, 4, {2, 1, 0, 3, 1, 0, 4, 1}};
  const RankPlan first = plan_rank(spec, 0, kept);
  EXPECT_THAT(first.row_begin, ElementsAre(0, 2, 3, 3));
  EXPECT_THAT(first.sends, ElementsAre(PeerRows{0, 0, 3}, PeerRows{1, 3, 3}));
  EXPECT_THAT(first.receives, ElementsAre(PeerRows{0, 0, 3}, PeerRows{1, 3, 1}));
  EXPECT_THAT(first.expert_row_begin, ElementsAre(0, 3, 4));
  // From rank 0: experts 0 (2 rows) and 1; from rank 1: expert 0, behind rank 0's.
  ASSERT_EQ(first.runs.size(), 3U);
  EXPECT_TRUE((first.runs[0] == RowRun{0, 0, 2}));
  EXPECT_TRUE((first.runs[1] == RowRun{2, 3, 1}));
  EXPECT_TRUE((first.runs[2] == RowRun{3, 2, 1}));

  const RankPlan second = plan_rank(spec, 1, kept);
  EXPECT_THAT(second.row_begin, ElementsAre(0, 1, 1, 5));
  EXPECT_THAT(second.receives, ElementsAre(PeerRows{0, 0, 3}, PeerRows{1, 3, 5}));
  EXPECT_THAT(second.expert_row_begin, ElementsAre(0, 4, 8));
}

TEST(RankPlan, Fp8PadsEveryExpertToFourRows) {
  LayerSpec spec = spec_of(4, 2, 2);
  spec.precision = Precision::kFp8;
  const RankPlan plan = plan_rank(spec, 0, {2, 4, {2, 0, 0, 3, 3, 0, 4, 1}});
  EXPECT_THAT(plan.expert_row_begin, ElementsAre(0, 8, 8));
  EXPECT_EQ(plan.receive_rows, 5);
}

TEST(RankPlan, SlotsDecideWhereExpertsGo) {
  LayerSpec spec = spec_of(4, 2, 2);
  spec.slot_of_expert = {3, 0, 2, 1};  // rank 0 holds experts 1 and 3, rank 1 holds 2 and 0
  const RankPlan plan = plan_rank(spec, 0, {2, 4, {2, 1, 0, 3, 1, 0, 4, 1}});
  EXPECT_THAT(plan.row_begin, ElementsAre(4, 0, 4, 1));
  EXPECT_THAT(plan.sends, ElementsAre(PeerRows{0, 0, 4}, PeerRows{1, 4, 2}));
  EXPECT_THAT(plan.expert_row_begin, ElementsAre(0, 1, 5));
}

/// Rows marked with (source, expert, position) travel as the plans say, and every one arrives in
/// its expert's rows, sources in order, positions in order.
TEST(RankPlan, MovesEveryRowToItsExpert) {
  struct Mark {
    int source = -1;
    int expert = -1;
    int position = -1;
  };
  LayerSpec spec = spec_of(12, 3, 4);
  spec.slot_of_expert = {5, 3, 11, 0, 7, 9, 1, 10, 2, 8, 6, 4};
  const std::vector<std::int32_t> token_begin = {0, 9, 9, 30, 37};
  const CountMatrix kept =
      count_matrix(testing::random_experts(37, spec.shape, "plan"), token_begin, spec.shape);
  std::vector<RankPlan> plans;
  std::vector<std::vector<Mark>> sent(4);
  for (int rank = 0; rank < 4; ++rank) {
    plans.push_back(plan_rank(spec, rank, kept));
    sent[static_cast<std::size_t>(rank)].resize(static_cast<std::size_t>(plans.back().send_rows));
    for (int e = 0; e < 12; ++e) {
      for (int i = 0; i < kept.at(rank, e); ++i) {
        const auto row =
            static_cast<std::size_t>(plans.back().row_begin[static_cast<std::size_t>(e)] + i);
        sent[static_cast<std::size_t>(rank)][row] = {rank, e, i};
      }
    }
  }
  for (std::size_t rank = 0; rank < 4; ++rank) {
    const RankPlan& plan = plans[rank];
    std::vector<Mark> received(static_cast<std::size_t>(plan.receive_rows));
    for (std::size_t source = 0; source < 4; ++source) {
      const PeerRows from = plans[source].sends[rank];
      const PeerRows to = plan.receives[source];
      ASSERT_EQ(from.count, to.count);
      for (std::int64_t i = 0; i < to.count; ++i) {
        received[static_cast<std::size_t>(to.first + i)] =
            sent[source][static_cast<std::size_t>(from.first + i)];
      }
    }
    std::vector<Mark> by_expert(static_cast<std::size_t>(plan.expert_rows()));
    for (const RowRun& run : plan.runs) {
      for (std::int32_t i = 0; i < run.count; ++i) {
        by_expert[static_cast<std::size_t>(run.to + i)] =
            received[static_cast<std::size_t>(run.from + i)];
      }
    }
    for (int e = 0; e < 12; ++e) {
      const int slot = spec.slot_of(e) - static_cast<int>(rank) * 3;
      if (slot < 0 || slot >= 3) {
        continue;
      }
      auto row = static_cast<std::size_t>(plan.expert_row_begin[static_cast<std::size_t>(slot)]);
      for (int source = 0; source < 4; ++source) {
        for (int i = 0; i < kept.at(source, e); ++i, ++row) {
          EXPECT_EQ(by_expert[row].source, source);
          EXPECT_EQ(by_expert[row].expert, e);
          EXPECT_EQ(by_expert[row].position, i);
        }
      }
      EXPECT_EQ(static_cast<std::int64_t>(row),
                plan.expert_row_begin[static_cast<std::size_t>(slot) + 1]);
    }
  }
}

TEST(RankPlan, RefusesCountsOfAnotherLayer) {
  EXPECT_THROW((void)plan_rank(spec_of(4, 2, 2), 0, {1, 4, {1, 1, 1, 1}}), std::invalid_argument);
}

}  // namespace
}  // namespace moesim::gpu_ref
