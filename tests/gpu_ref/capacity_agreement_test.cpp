// SPDX-License-Identifier: Apache-2.0
// The layer's capacity keeps and drops exactly the assignments that the simulator's does.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "gpu_ref/layer/rank_plan.hpp"
#include "gpu_ref/oracle/gate.hpp"
#include "sim/moe/capacity.hpp"
#include "tests/gpu_ref/support.hpp"

namespace moesim::gpu_ref {
namespace {

struct Case {
  LayerSpec spec;
  Routing routing;
  std::vector<std::int32_t> experts;
  CapacitySpec rule;
};

Case random_case() {
  Case c;
  c.spec.ranks = *rc::gen::inRange(1, 5);
  LayerShape& shape = c.spec.shape;
  shape = {.hidden = 8, .expert_width = 8};
  shape.num_experts = c.spec.ranks * *rc::gen::inRange(1, 6);
  shape.top_k = *rc::gen::inRange(1, std::min(shape.num_experts, 6) + 1);
  c.routing.num_experts = shape.num_experts;
  c.routing.top_k = shape.top_k;
  c.routing.token_begin = {0};
  for (int rank = 0; rank < c.spec.ranks; ++rank) {
    c.routing.token_begin.push_back(c.routing.token_begin.back() + *rc::gen::inRange(0, 40));
  }
  c.experts = testing::random_experts(
      c.routing.num_tokens(), shape, std::to_string(*rc::gen::arbitrary<std::uint32_t>()));
  c.routing.experts.assign(c.experts.begin(), c.experts.end());
  c.spec.capacity.overflow = *rc::gen::element(Overflow::kNone, Overflow::kDrop);
  c.spec.capacity.scope = *rc::gen::element(OverflowScope::kRank, OverflowScope::kGroup);
  c.spec.capacity.factor = *rc::gen::element(0.1, 0.5, 0.9, 1.0, 1.1, 1.25, 2.0, 1e300);
  c.rule.policy =
      c.spec.capacity.overflow == Overflow::kDrop ? OverflowPolicy::kDrop : OverflowPolicy::kNone;
  c.rule.scope =
      c.spec.capacity.scope == OverflowScope::kGroup ? CapacityScope::kGroup : CapacityScope::kRank;
  c.rule.factor = c.spec.capacity.factor;
  return c;
}

/// What the device does with a plan: an assignment is kept while its expert's quota on its rank
/// lasts (place_assignments).
std::vector<std::uint8_t> kept_by_quota(const Case& c) {
  const CountMatrix kept =
      kept_counts(c.spec, count_matrix(c.experts, c.routing.token_begin, c.spec.shape));
  std::vector<std::uint8_t> keep;
  for (int rank = 0; rank < c.spec.ranks; ++rank) {
    std::vector<std::int32_t> left = plan_rank(c.spec, rank, kept).quota;
    const auto r = static_cast<std::size_t>(rank);
    const auto top_k = static_cast<std::size_t>(c.spec.shape.top_k);
    for (std::size_t a = static_cast<std::size_t>(c.routing.token_begin[r]) * top_k;
         a < static_cast<std::size_t>(c.routing.token_begin[r + 1]) * top_k;
         ++a) {
      keep.push_back(left[static_cast<std::size_t>(c.experts[a])]-- > 0 ? 1 : 0);
    }
  }
  return keep;
}

RC_GTEST_PROP(CapacityAgreement, PlanAndOracleKeepWhatTheSimulatorKeeps, ()) {
  const Case c = random_case();
  const Accepted accepted = apply_capacity(c.routing, c.rule);
  std::vector<std::uint8_t> expected;
  for (std::size_t a = 0; a < c.experts.size(); ++a) {
    expected.push_back(accepted.is_kept(a) ? 1 : 0);
  }
  RC_ASSERT(kept_by_quota(c) == expected);
  RC_ASSERT(oracle::kept(c.spec, c.experts, c.routing.token_begin) == expected);
}

RC_GTEST_PROP(CapacityAgreement, CapacitiesAreEqual, ()) {
  const double factor = *rc::gen::inRange(1, 4000) / 1000.0;
  const std::int64_t tokens = *rc::gen::inRange<std::int64_t>(0, 100000);
  const int top_k = *rc::gen::inRange(1, 33);
  const int experts = *rc::gen::inRange(top_k, 1025);
  RC_ASSERT(expert_capacity(factor, tokens, top_k, experts) ==
            slot_capacity(factor, tokens, top_k, experts));
}

/// The properties above are not about routings that nothing is dropped from.
TEST(CapacityAgreement, RandomRoutingsOverflow) {
  Case c;
  c.spec.shape = {.hidden = 8, .expert_width = 8, .num_experts = 8, .top_k = 2};
  c.spec.capacity = {.overflow = Overflow::kDrop, .factor = 1.0};
  c.routing.token_begin = {0, 50};
  c.experts = testing::random_experts(50, c.spec.shape, "overflow");
  const std::vector<std::uint8_t> keep = kept_by_quota(c);
  EXPECT_GT(std::count(keep.begin(), keep.end(), 0), 0);
}

}  // namespace
}  // namespace moesim::gpu_ref
