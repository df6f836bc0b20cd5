// SPDX-License-Identifier: Apache-2.0
#include "sim/step/placement_study.hpp"

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "sim/moe/eplb.hpp"
#include "tests/step/random_steps.hpp"

namespace moesim {
namespace {

using testing::random_step;
using testing::RandomStep;

constexpr StudyOptions kOptions{
    .train = {.first = 0, .steps = 2}, .steps = 4, .windows = 2, .horizon = 1000, .move_steps = 2};

ReplayControl with_threads(int threads) {
  ReplayControl control;
  control.threads = threads;
  return control;
}

/// One more slot a rank, from the training window.
Contender eplb_contender(const RandomStep& s) {
  const int slots = s.model.model.num_experts + s.model.ranks;
  std::vector<Placement> placements;
  for (const auto& load : window_loads(*s.model.routing, kOptions.train, s.model.layers)) {
    placements.push_back(
        eplb_placement(load, {.slots = slots, .groups = 1, .nodes = 1, .ranks = s.model.ranks}));
  }
  return {"eplb", placements};
}

TEST(PlacementStudy, JudgesEachPlacementAsAReplayWould) {
  const RandomStep s = random_step(11);
  const Contender eplb = eplb_contender(s);
  const PlacementStudy study = study_placements(s.model, {eplb}, kOptions, {});
  ASSERT_EQ(study.judged.size(), 2U);
  StepModel with = s.model;
  for (const JudgedPlacement& judged : study.judged) {
    const std::vector<StepResult> replayed = replay(with, 6, {});
    ASSERT_EQ(judged.step_s.size(), 4U);
    std::size_t at = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      const StepResult& step = replayed[i + 2];
      EXPECT_EQ(judged.step_s[i], step.makespan.to_seconds().value);
      double bytes = 0.0;
      for (const LayerResult& layer : step.layers) {
        EXPECT_EQ(judged.layer_s[at], layer.makespan().to_seconds().value);
        EXPECT_EQ(judged.rank_imbalance[at], layer.rank_imbalance);
        bytes += static_cast<double>(layer.scale_out_bytes);
        ++at;
      }
      EXPECT_EQ(judged.scale_out_bytes[i], bytes);
    }
    EXPECT_EQ(judged.slowest.result.makespan().to_seconds().value,
              *std::max_element(judged.layer_s.begin(), judged.layer_s.end()));
    with.placements = eplb.placements;
  }
}

TEST(PlacementStudy, TheBaselineMovesNothing) {
  const RandomStep s = random_step(12);
  const PlacementStudy study = study_placements(s.model, {eplb_contender(s)}, kOptions, {});
  const JudgedPlacement& baseline = study.judged[0];
  EXPECT_EQ(baseline.name, "baseline");
  EXPECT_EQ(baseline.migration.total_bytes(), 0);
  EXPECT_EQ(baseline.stall(), Seconds{});
  EXPECT_EQ(baseline.verdict.kind, VerdictKind::kSkip);
  EXPECT_THAT(baseline.window_gain, ::testing::ElementsAre(0.0, 0.0));
}

TEST(PlacementStudy, ReplicasTakeMemoryOfKeysAndValues) {
  RandomStep s = random_step(13);
  s.model.model.moe_layers = 2;
  s.model.model.layers = 4;
  s.model.model.attention.kv_heads = 2;
  s.model.model.attention.head_dim = 64;
  const PlacementStudy study = study_placements(s.model, {eplb_contender(s)}, kOptions, {});
  const JudgedPlacement& eplb = study.judged[1];
  EXPECT_EQ(eplb.slots_per_rank, study.judged[0].slots_per_rank + 1);
  const double expert = 3.0 * 512 * 256 * 2;  // bf16
  EXPECT_DOUBLE_EQ(eplb.replica_bytes, 2 * expert);
  EXPECT_DOUBLE_EQ(eplb.replica_tokens, 2 * expert / (2.0 * 2 * 64 * 2 * 4));
  EXPECT_EQ(study.judged[0].replica_bytes, 0.0);
  EXPECT_GE(eplb.most_copies, 2);
}

TEST(PlacementStudy, SkipsExpertsThatDoNotFitTheGpu) {
  RandomStep s = random_step(13);
  s.model.model.moe_layers = 2;
  const double expert = 3.0 * 512 * 256 * 2;
  const double slots = 2.0 * s.model.placements.front().slots_per_rank();
  s.model.cluster.gpu.memory = bytes(slots * expert);
  const PlacementStudy study = study_placements(s.model, {eplb_contender(s)}, kOptions, {});
  EXPECT_TRUE(study.judged[0].fits);
  EXPECT_FALSE(study.judged[1].fits);
  EXPECT_DOUBLE_EQ(study.judged[1].expert_bytes, (slots + 2) * expert);
  EXPECT_EQ(study.judged[1].verdict.kind, VerdictKind::kSkip);
}

TEST(PlacementStudy, IsTheSameAtAnyThreadCount) {
  const RandomStep s = random_step(14);
  const std::vector<Contender> contenders = {eplb_contender(s)};
  const PlacementStudy one = study_placements(s.model, contenders, kOptions, with_threads(1));
  const PlacementStudy three = study_placements(s.model, contenders, kOptions, with_threads(3));
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(one.judged[i].step_s, three.judged[i].step_s);
    EXPECT_EQ(one.judged[i].layer_s, three.judged[i].layer_s);
    EXPECT_EQ(one.judged[i].pause, three.judged[i].pause);
    EXPECT_EQ(one.judged[i].beside, three.judged[i].beside);
  }
}

TEST(PlacementStudy, StopsWhenCancelled) {
  const RandomStep s = random_step(15);
  const std::atomic<bool> cancelled{true};
  ReplayControl control;
  control.cancelled = &cancelled;
  EXPECT_THROW(static_cast<void>(study_placements(s.model, {}, kOptions, control)), Cancelled);
}

TEST(PlacementStudy, CountsExpertsThatOnlyOneNodeHolds) {
  const auto placement = [](const std::vector<int>& experts) {
    std::vector<ExpertId> slots;
    for (const int e : experts) {
      slots.push_back(ExpertId{e});
    }
    return placement_from_slots(std::move(slots), 4);
  };
  const std::vector<int> nodes = {0, 0, 1, 1};
  // Node 0 alone holds 1, node 1 alone 2 and 3: the worst loss takes two along.
  EXPECT_EQ(experts_lost_with_a_node({placement({0, 1, 0, 1, 0, 2, 3, 3})}, nodes), 2);
  EXPECT_EQ(experts_lost_with_a_node({placement({0, 1, 0, 1, 0, 1, 0, 1})}, nodes), 0);
}

}  // namespace
}  // namespace moesim
