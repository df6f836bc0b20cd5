// SPDX-License-Identifier: Apache-2.0
#include "sim/study/placement_cost.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "sim/moe/dispatch.hpp"
#include "sim/moe/replica_choice.hpp"
#include "sim/moe/replica_names.hpp"
#include "sim/step/layer_work.hpp"
#include "sim/step/path_table.hpp"
#include "sim/step/phase_rules.hpp"
#include "tests/study/placement_scenes.hpp"

namespace moesim::testing {
namespace {

/// Seconds that a phase keeps each link and each rank's kernel busy, from its transfers.
class BusyTimes {
 public:
  explicit BusyTimes(const StepModel& model)
      : model_(model),
        capacity_(effective_capacities(model.cluster, model.constants)),
        finder_(model.cluster,
                path_policy_of(model.dispatch, model.path_policy),
                model.seed,
                model.path_spread),
        paths_(finder_, model.ranks, PathScope::kAny),
        busy_(capacity_.size() + 2 * static_cast<std::size_t>(model.ranks)) {}

  void add(const CommPlan& plan, bool combine) {
    const CommunicationModel comm =
        communication_model(model_.dispatch, model_.constants, capacity_);
    const bool merged = model_.dispatch.kind == DispatcherKind::kNccl ||
                        model_.dispatch.kind == DispatcherKind::kTwoDimensional;
    const PhaseRules rules = phase_rules(model_.dispatch.kind, combine);
    const BytesPerSecond rate = combine ? comm.combine_copy_rate : comm.copy_rate;
    for (const Transfer& t : plan.transfers) {
      const double messages = merged ? 0.0 : static_cast<double>(t.messages);
      const auto row_bytes = static_cast<double>(t.bytes);
      for (const PathPart& part : paths_.find(t.source, t.destination)) {
        for (const LinkId link : paths_.paths()[static_cast<std::size_t>(part.path)].links) {
          busy_[link.index()] += part.share * (row_bytes + messages * comm.message_overhead.value) /
                                 capacity_[link.index()].value;
        }
      }
      const RankId worker = rules.pulled ? t.destination : t.source;
      issue(worker) += messages * comm.message_gap.value;
      if (rate.value > 0) {
        copy(worker) += row_bytes / rate.value;
        copy(t.destination) += rules.receiver_copies ? row_bytes / rate.value : 0.0;
      }
    }
  }
  [[nodiscard]] double most() const { return *std::max_element(busy_.begin(), busy_.end()); }

 private:
  double& issue(RankId rank) { return busy_[capacity_.size() + rank.index()]; }
  double& copy(RankId rank) {
    return busy_[capacity_.size() + static_cast<std::size_t>(model_.ranks) + rank.index()];
  }

  const StepModel& model_;
  std::vector<BytesPerSecond> capacity_;
  PathFinder finder_;
  PathTable paths_;
  std::vector<double> busy_;
};

/// What the step model itself makes of a layer, over the steps of a scene.
struct Expected {
  double dispatch = 0.0;
  double combine = 0.0;
  double experts = 0.0;
};

Expected expected_cost(const StepModel& model) {
  Expected expected;
  BusyTimes dispatch(model);
  BusyTimes combine(model);
  for (int step = 0; step < kSceneSteps; ++step) {
    const PreparedLayer layer = prepare_layer(model, step, 0);
    dispatch.add(layer.work.traffic.dispatch, false);
    combine.add(layer.work.traffic.combine, true);
    const auto& times = layer.work.compute.experts;
    expected.experts += std::max_element(times.begin(), times.end())->to_seconds().value;
  }
  expected.dispatch = dispatch.most() / kSceneSteps;
  expected.combine = combine.most() / kSceneSteps;
  expected.experts /= kSceneSteps;
  return expected;
}

/// Two slots of different ranks exchange experts, or a slot whose expert has others takes another,
/// or the first two ranks exchange all they have.
std::vector<SlotChange> random_change(const PlacementCost& cost, RngStream& rng) {
  const auto experts = cost.expert_of_slot();
  if (rng.below(8) == 0) {
    std::vector<SlotChange> changes;
    for (std::size_t i = 0; i < cost.slots_per_rank(); ++i) {
      changes.push_back({i, experts[cost.slots_per_rank() + i]});
      changes.push_back({cost.slots_per_rank() + i, experts[i]});
    }
    return changes;
  }
  const std::size_t a = rng.below(experts.size());
  if (cost.slots_of(experts[a]).size() > 1 && rng.below(2) == 0) {
    return {{a, rng.below(cost.num_experts())}};
  }
  const std::size_t b = rng.below(experts.size());
  if (a == b) {
    return {};
  }
  return {{a, experts[b]}, {b, experts[a]}};
}

void expect_same(const LayerCost& a, const LayerCost& b) {
  RC_ASSERT(a.fixed == b.fixed);
  RC_ASSERT(a.dispatch == b.dispatch);
  RC_ASSERT(a.experts == b.experts);
  RC_ASSERT(a.combine == b.combine);
  RC_ASSERT(a.at_peaks == b.at_peaks);
}

}  // namespace

// A row's share of a link is rounded to a picosecond, rows take a nanosecond or more.
constexpr double kRounding = 1e-3;

RC_GTEST_PROP(PlacementCost,
              IsTheBusiestLinkAndTheSlowestRankOfTheStepModel,
              (std::uint64_t seed)) {
  const CostScene scene(seed);
  RC_PRE(scene.traffic.kept_tokens > 0);
  const StepModel& model = scene.step.model;
  const LayerCost cost = scene.cost().cost();
  const Expected expected = expected_cost(model);
  RC_ASSERT(scene.traffic.stride == 1);
  RC_ASSERT(std::abs(cost.experts.value - expected.experts) < 1e-12);
  if (model.dispatch.kind == DispatcherKind::kAllGather) {
    RC_ASSERT(cost.dispatch.value == 0.0);  // no placement changes it
    return;
  }
  RC_ASSERT(std::abs(cost.dispatch.value - expected.dispatch) <= kRounding * expected.dispatch);
  RC_ASSERT(std::abs(cost.combine.value - expected.combine) <= kRounding * expected.combine);
}

RC_GTEST_PROP(PlacementCost, AfterChangesEqualsOneBuiltAfresh, (std::uint64_t seed)) {
  const CostScene scene(seed, 60);
  RngStream rng(seed, "changes");
  const auto part = [&] { return rng.below(2) == 0 ? 1.0 : rng.uniform01(); };
  const Believed believed{.rows = part(), .sharing = part()};
  PlacementCost cost(scene.step.model, scene.traffic, scene.resources, scene.start(), believed);
  for (int i = 0; i < 30; ++i) {
    const LayerCost before = cost.cost();
    const std::vector<SlotChange> changes = random_change(cost, rng);
    if (changes.empty()) {
      continue;
    }
    cost.change(changes);
    if (rng.below(2) == 0) {
      cost.undo();
      expect_same(cost.cost(), before);
    }
  }
  const PlacementCost fresh(
      scene.step.model, scene.traffic, scene.resources, cost.placement(), believed);
  expect_same(cost.cost(), fresh.cost());
  RC_ASSERT(cost.objective(0.5) == fresh.objective(0.5));
  RC_ASSERT(cost.objective(0.5).value >= (1.0 - 1e-12) * cost.cost().guarded(0.5).value);
}

TEST(PlacementCost, ScenesReachAllChoicesDispatchersAndManyCosts) {
  std::vector<int> dispatchers(kDispatcherNames.size());
  std::map<ReplicaChoice, int> choices;
  int replicated = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const RandomStep step = placement_scene(seed);
    ++dispatchers[static_cast<std::size_t>(step.model.dispatch.kind)];
    ++choices[step.model.replicas.choice];
    replicated += step.model.placements.front().has_replicas() ? 1 : 0;
  }
  EXPECT_GT(*std::min_element(dispatchers.begin(), dispatchers.end()), 5);
  EXPECT_EQ(choices.size(), kReplicaChoiceNames.size());
  for (const auto& [choice, scenes] : choices) {
    EXPECT_GT(scenes, 30);
  }
  EXPECT_GT(replicated, 50);
}

TEST(ExpertTraffic, KeptTokensStandForAllOfTheirSource) {
  const CostScene all(7);
  const CostScene some(7, 40);
  ASSERT_GT(some.traffic.stride, 1);
  EXPECT_EQ(some.traffic.counts, all.traffic.counts);
  EXPECT_LE(some.traffic.kept_tokens, 40 + some.traffic.ranks);
  EXPECT_EQ(some.traffic.kept.size(),
            static_cast<std::size_t>(some.traffic.kept_tokens) *
                static_cast<std::size_t>(some.traffic.top_k));
}

}  // namespace moesim::testing
