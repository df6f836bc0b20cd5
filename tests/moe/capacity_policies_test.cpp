// SPDX-License-Identifier: Apache-2.0
// Where overflow goes, by hand.
#include <gtest/gtest.h>

#include "sim/moe/capacity.hpp"

namespace moesim {
namespace {

using Keep = std::vector<std::uint8_t>;
using Experts = std::vector<ExpertIndex>;

/// One rank, four tokens, top-2 of four experts: expert 0 is everyone's first.
///   token 0: 0 1   token 1: 0 2   token 2: 0 1   token 3: 0 3
Routing hot_first() {
  return {.num_experts = 4,
          .top_k = 2,
          .token_begin = {0, 4},
          .experts = {0, 1, 0, 2, 0, 1, 0, 3},
          .weights = {0.6F, 0.4F, 0.9F, 0.1F, 0.7F, 0.3F, 0.8F, 0.2F}};
}

CapacitySpec of(OverflowPolicy policy, double factor = 1.0) {
  CapacitySpec spec;
  spec.policy = policy;
  spec.factor = factor;
  return spec;
}

// C = 1 * 4 * 2 / 4 = 2. Expert 0 keeps tokens 0 and 1. Round 1: token 2 asks its slot 1, expert 1,
// which has tokens 0 and 2 already: refused and, at top_k 2, dropped. Token 3 asks expert 3: taken.
TEST(Spill, AsksTheTokensOtherExperts) {
  const Accepted a = apply_capacity(hot_first(), of(OverflowPolicy::kSpill));
  EXPECT_EQ(a.keep, (Keep{1, 1, 1, 1, 0, 1, 1, 1}));
  EXPECT_EQ(a.experts, (Experts{0, 1, 0, 2, 1, 1, 3, 3}));
  EXPECT_EQ(a.dropped, 1);
  EXPECT_EQ(a.diverted, 1);
  EXPECT_EQ(a.lost_tokens, 0);
  EXPECT_NEAR(a.dropped_weight.value(), 0.7, 1e-6);
}

// Three experts a token: with one try, slot 0 asks slot 1 only.
TEST(Spill, StopsAfterItsTries) {
  Routing routing{.num_experts = 3,
                  .top_k = 3,
                  .token_begin = {0, 1, 2},
                  .experts = {0, 1, 2, 0, 1, 2},
                  .weights = {}};
  CapacitySpec spec = of(OverflowPolicy::kSpill);
  spec.scope = CapacityScope::kGroup;
  spec.factor = 0.5;  // C = 0.5 * 2 * 3 / 3 = 1: token 0 fills every expert
  EXPECT_EQ(apply_capacity(routing, spec).dropped, 3);
  EXPECT_EQ(apply_capacity(routing, spec).lost_tokens, 1);
  spec.factor = 1.0;
  EXPECT_EQ(apply_capacity(routing, spec).dropped, 0);
  routing.experts = {0, 1, 2, 0, 1, 2};
  routing.token_begin = {0, 2};
  routing.num_experts = 6;
  spec.tries = 1;  // C = 2 * 3 / 6 = 1: slot s of token 1 asks slot s + 1, all full
  EXPECT_EQ(apply_capacity(routing, spec).diverted, 0);
}

// Candidates of each token behind its two: best first. Expert 0 refuses tokens 2 and 3.
// Round 1: token 2 asks expert 3 (taken: 3 has only token 3), token 3 asks expert 1: full, since
// tokens 0 and 2 hold it. Round 2: token 3 asks expert 2: taken.
TEST(NextBest, AsksCandidatesInRounds) {
  Routing routing = hot_first();
  routing.num_candidates = 2;
  routing.candidates = {2, 3, 1, 3, 3, 2, 1, 2};
  Accepted a = apply_capacity(routing, of(OverflowPolicy::kNextBest));
  EXPECT_EQ(a.experts, (Experts{0, 1, 0, 2, 3, 1, 2, 3}));
  EXPECT_EQ(a.dropped, 0);
  EXPECT_EQ(a.diverted, 2);

  CapacitySpec one_try = of(OverflowPolicy::kNextBest);
  one_try.tries = 1;
  a = apply_capacity(routing, one_try);
  EXPECT_EQ(a.keep, (Keep{1, 1, 1, 1, 1, 1, 0, 1}));
}

TEST(Order, ByWeightServesTheLargestFirst) {
  CapacitySpec spec = of(OverflowPolicy::kDrop);
  spec.order = ServiceOrder::kWeight;
  const Accepted a = apply_capacity(hot_first(), spec);
  EXPECT_EQ(a.keep, (Keep{0, 1, 1, 1, 0, 1, 1, 1}));  // expert 0: 0.9 and 0.8
  EXPECT_NEAR(a.dropped_weight.value(), 0.6 + 0.7, 1e-6);
}

/// Two ranks of four tokens, top-1 of two experts.
Routing two_ranks() {
  return {.num_experts = 2,
          .top_k = 1,
          .token_begin = {0, 4, 8},
          .experts = {0, 0, 1, 1, 0, 0, 0, 0},
          .weights = {}};
}

// C by scope at factor 1: micro-batch 2 / 2 = 1, rank 4 / 2 = 2, group and micro-batch 4 / 2 = 2,
// global 8 / 2 = 4.
TEST(Scope, DecidesWhoCompetes) {
  CapacitySpec spec = of(OverflowPolicy::kDrop);
  spec.micro_batches = 2;
  const auto keep_in = [&](CapacityScope scope) {
    spec.scope = scope;
    return apply_capacity(two_ranks(), spec).keep;
  };
  EXPECT_EQ(keep_in(CapacityScope::kMicroBatch), (Keep{1, 0, 1, 0, 1, 0, 1, 0}));
  EXPECT_EQ(keep_in(CapacityScope::kRank), (Keep{1, 1, 1, 1, 1, 1, 0, 0}));
  // Micro-batch 0 holds tokens 0 1 4 5, all for expert 0; micro-batch 1 holds 2 3 6 7.
  EXPECT_EQ(keep_in(CapacityScope::kGroup), (Keep{1, 1, 1, 1, 0, 0, 1, 1}));
  EXPECT_EQ(keep_in(CapacityScope::kGlobal), (Keep{1, 1, 1, 1, 1, 1, 0, 0}));
}

// Expert 0 lies on rank 0, expert 1 on rank 1. Rank 1 may send two assignments away, rank 0 accept
// three: rank 0 sends tokens 2 and 3, accepts its own two and one of rank 1's four.
TEST(Caps, BindSendersAndReceivers) {
  const Placement placement = contiguous_placement(2, 2);
  CapacitySpec spec = of(OverflowPolicy::kDrop, 100.0);
  spec.sender_cap = 2;
  EXPECT_EQ(apply_capacity(two_ranks(), spec, &placement).keep, (Keep{1, 1, 1, 1, 1, 1, 0, 0}));
  spec.receiver_cap = 3;
  EXPECT_EQ(apply_capacity(two_ranks(), spec, &placement).keep, (Keep{1, 1, 1, 1, 1, 0, 0, 0}));
  spec.sender_cap = 1;
  EXPECT_EQ(apply_capacity(two_ranks(), spec, &placement).keep, (Keep{1, 1, 1, 0, 1, 0, 0, 0}));
  EXPECT_THROW(static_cast<void>(apply_capacity(two_ranks(), spec)), std::logic_error);
}

// Two slots of capacity 2 a rank: 2 ranks * 2 * 2 = 8 rows, of which 6 hold tokens.
TEST(Pad, CountsTheRowsWithoutAToken) {
  const Accepted a = apply_capacity(two_ranks(), of(OverflowPolicy::kPad));
  EXPECT_EQ(a.dropped, 2);
  EXPECT_EQ(a.padding_rows, 2);
  EXPECT_EQ(padded_rows(two_ranks(), of(OverflowPolicy::kPad)), (std::vector<std::int64_t>{2, 2}));
}

// C = 2 tokens * 1 / 2 experts = 1. Each expert takes the token of largest weight: expert 0 token 0
// (0.9 over 0.8), expert 1 token 1 (0.15 over 0.05) though it is only its candidate. Both chose
// expert 0, so token 1 is dropped by it and taken by another: added to what was routed.
TEST(ExpertChoice, TakesTheLargestWeightsOfAllTokensItKnows) {
  Routing routing{.num_experts = 2,
                  .top_k = 1,
                  .token_begin = {0, 2},
                  .experts = {0, 0},
                  .weights = {0.9F, 0.8F}};
  routing.num_candidates = 1;
  routing.candidates = {1, 1};
  routing.candidate_weights = {0.05F, 0.15F};
  const Accepted a = apply_capacity(routing, of(OverflowPolicy::kExpertChoice));
  EXPECT_EQ(a.per_token, 2);
  EXPECT_EQ(a.experts, (Experts{0, 1, 0, 1}));
  EXPECT_EQ(a.keep, (Keep{1, 0, 0, 1}));
  EXPECT_EQ(a.dropped, 1);
  EXPECT_EQ(a.diverted, 1);
  EXPECT_EQ(a.lost_tokens, 0);
  EXPECT_NEAR(a.dropped_weight.value(), 0.8, 1e-6);
}

}  // namespace
}  // namespace moesim
