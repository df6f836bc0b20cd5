// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/capacity_ladder.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "sim/moe/narrow_routing.hpp"

namespace moesim {
namespace {

/// Two domains of two ranks, skewed top-2 of eight experts, tokens that differ a rank.
Routing random_routing() {
  Routing routing{.num_experts = 8, .top_k = 2, .token_begin = {0}, .experts = {}, .weights = {}};
  for (int rank = 0; rank < 4; ++rank) {
    const int tokens = *rc::gen::inRange(0, 12);
    for (int t = 0; t < tokens; ++t) {
      const int first = *rc::gen::inRange(0, 8) * *rc::gen::inRange(0, 2);
      const int second = (first + *rc::gen::inRange(1, 8)) % 8;
      routing.experts.push_back(static_cast<ExpertIndex>(first));
      routing.experts.push_back(static_cast<ExpertIndex>(second));
      routing.weights.push_back(static_cast<float>(*rc::gen::inRange(1, 5)) / 4.0F);
      routing.weights.push_back(static_cast<float>(*rc::gen::inRange(1, 5)) / 8.0F);
    }
    routing.token_begin.push_back(routing.token_begin.back() + tokens);
  }
  return routing;
}

/// Twelve slots: experts 0 to 3 twice.
Placement replicated_placement() {
  std::vector<ExpertId> expert_of_slot;
  for (int slot = 0; slot < 12; ++slot) {
    expert_of_slot.push_back(ExpertId{slot % 8});
  }
  return placement_from_slots(std::move(expert_of_slot), 4);
}

RC_GTEST_PROP(Climb, CountsWhatOneFactorAtATimeCounts, ()) {
  const Routing routing = random_routing();
  const Placement placement =
      *rc::gen::arbitrary<bool>() ? round_robin_placement(8, 4) : replicated_placement();
  const Domains domains = make_domains({{0, 0}, {0, 1}, {1, 0}, {1, 1}});
  const ReplicaRule rule{.choice = static_cast<ReplicaChoice>(*rc::gen::inRange(0, 4)),
                         .limit = 0.5};
  const Placed placed{.placement = placement, .domains = domains, .rule = rule};
  CapacitySpec spec;
  spec.policy = OverflowPolicy::kDrop;
  spec.scope = static_cast<CapacityScope>(*rc::gen::inRange(0, 4));
  spec.order = static_cast<ServiceOrder>(*rc::gen::inRange(0, 2));
  spec.micro_batches = *rc::gen::inRange(1, 4);
  const std::vector<double> factors = {0.1, 0.5, 1.0, 1.25, 2.0, 50.0};
  const std::vector<Rung> rungs = climb(routing, spec, factors, placed);
  RC_ASSERT(rungs.size() == factors.size());
  for (std::size_t f = 0; f < factors.size(); ++f) {
    spec.factor = factors[f];
    const Accepted alone = apply_capacity(routing, spec, placed);
    const RankCounts counts = count_ranks(routing, alone, placement, domains);
    RC_ASSERT(rungs[f].counts.copies.counts == counts.copies.counts);
    RC_ASSERT(rungs[f].counts.assignments.counts == counts.assignments.counts);
    RC_ASSERT(rungs[f].counts.relayed.counts == counts.relayed.counts);
    RC_ASSERT(rungs[f].counts.slot_tokens == counts.slot_tokens);
    RC_ASSERT(rungs[f].accepted.dropped == alone.dropped);
    RC_ASSERT(rungs[f].accepted.lost_tokens == alone.lost_tokens);
    RC_ASSERT(rungs[f].accepted.tokens == alone.tokens);
    // Weights are eighths: their sums are exact in any order.
    RC_ASSERT(rungs[f].accepted.dropped_weight.value_or(0.0) == alone.dropped_weight.value_or(0.0));
  }
}

TEST(Climb, ServesNobodyByWeightWhenThereAreNoTokens) {
  const Routing nobody{
      .num_experts = 8, .top_k = 2, .token_begin = {0, 0, 0, 0, 0}, .experts = {}, .weights = {}};
  CapacitySpec spec;
  spec.policy = OverflowPolicy::kDrop;
  spec.order = ServiceOrder::kWeight;
  const std::vector<double> factors = {1.0};
  const Placement placement = round_robin_placement(8, 4);
  const Domains domains = make_domains({{0, 0}, {0, 1}, {1, 0}, {1, 1}});
  const auto rungs =
      climb(nobody, spec, factors, {.placement = placement, .domains = domains, .rule = {}});
  EXPECT_EQ(rungs.at(0).accepted.assignments, 0);
  EXPECT_EQ(apply_capacity(nobody, spec).assignments, 0);
}

/// One rank, one token with weights out of order.
class WideSource final : public RoutingSource {
 public:
  WideSource() {
    info_.num_experts = 4;
    info_.top_k = 3;
    info_.layers = 1;
    info_.has_weights = true;
  }
  [[nodiscard]] const RoutingSourceInfo& info() const override { return info_; }
  [[nodiscard]] Routing route(int /*step*/, int /*layer*/) const override {
    return {.num_experts = 4,
            .top_k = 3,
            .token_begin = {0, 1},
            .experts = {3, 0, 2},
            .weights = {0.2F, 0.5F, 0.3F}};
  }

 private:
  RoutingSourceInfo info_;
};

TEST(NarrowedSource, KeepsTheBestAndHandsOnTheRest) {
  const auto source = narrowed_source(std::make_unique<WideSource>(), 1);
  const Routing routing = source->route(0, 0);
  EXPECT_EQ(source->info().top_k, 1);
  EXPECT_EQ(routing.experts, (std::vector<ExpertIndex>{0}));
  EXPECT_EQ(routing.num_candidates, 2);
  EXPECT_EQ(routing.candidates, (std::vector<ExpertIndex>{2, 3}));
  EXPECT_EQ(routing.candidate_weights, (std::vector<float>{0.3F, 0.2F}));
}

}  // namespace
}  // namespace moesim
