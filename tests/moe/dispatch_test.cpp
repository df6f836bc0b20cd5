// SPDX-License-Identifier: Apache-2.0
// Dispatchers against numbers derived by hand and in closed form.
#include "sim/moe/dispatch.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <string>

#include "sim/core/rng.hpp"

namespace moesim {
namespace {

constexpr CopyBytes kCopy{.payload = 90, .scales = 6, .indices = 4, .combine = 200};

/// Four ranks in two domains {0, 1} and {2, 3}, two experts a rank, both tokens on rank 0:
///   token 0: experts 2 4 6 = ranks 1 2 3     token 1: experts 6 7 0 = ranks 3 3 0
Routing two_tokens() {
  return {.num_experts = 8,
          .top_k = 3,
          .token_begin = {0, 2, 2, 2, 2},
          .experts = {2, 4, 6, 6, 7, 0},
          .weights = {}};
}

LayerTraffic plan(DispatcherKind kind, const Accepted& accepted = {}) {
  return plan_traffic(
      two_tokens(),
      accepted,
      contiguous_placement(8, 4),
      {.places = {{0, 0}, {0, 1}, {1, 0}, {1, 1}}, .spec = {.kind = kind}, .copy = kCopy});
}

/// "0>3 x2 =200 s0 g-1; ..."
std::string text(const CommPlan& plan) {
  std::string result;
  for (const Transfer& t : plan.transfers) {
    result += std::to_string(t.source.value) + ">" + std::to_string(t.destination.value) + " x" +
              std::to_string(t.messages) + " =" + std::to_string(t.bytes) + " s" +
              std::to_string(t.stage) + " g" + std::to_string(t.group) + "; ";
  }
  return result;
}

// Token 1 has two experts on rank 3 but one copy goes there; its own expert 0 sends nothing.
TEST(Pairwise, SendsOneCopyToEachDistinctRankAndGetsOneRowBack) {
  const LayerTraffic t = plan(DispatcherKind::kPairwise);
  EXPECT_EQ(text(t.dispatch), "0>1 x1 =100 s0 g-1; 0>2 x1 =100 s0 g-1; 0>3 x2 =200 s0 g-1; ");
  EXPECT_EQ(text(t.combine), "1>0 x1 =200 s0 g-1; 2>0 x1 =200 s0 g-1; 3>0 x2 =400 s0 g-1; ");
  EXPECT_EQ(t.rank_received, (std::vector<std::int64_t>{1, 1, 1, 2}));
  EXPECT_EQ(t.slot_tokens, (std::vector<std::int64_t>{1, 0, 1, 0, 1, 0, 2, 1}));
  EXPECT_EQ(t.returned_rows, (std::vector<std::int64_t>{5, 0, 0, 0}));
}

// Three assignments lie on rank 3, so three messages go there.
TEST(LowLatency, SendsOneMessageAnAssignment) {
  const LayerTraffic t = plan(DispatcherKind::kLowLatency);
  EXPECT_EQ(text(t.dispatch), "0>1 x1 =100 s0 g-1; 0>2 x1 =100 s0 g-1; 0>3 x3 =300 s0 g-1; ");
  EXPECT_EQ(text(t.combine), "1>0 x1 =200 s0 g-1; 2>0 x1 =200 s0 g-1; 3>0 x3 =600 s0 g-1; ");
  EXPECT_EQ(t.returned_rows, (std::vector<std::int64_t>{6, 0, 0, 0}));
}

// Both tokens go once to rank 2, the GPU of rank 0's index in the other domain. Token 0 stops there
// and goes on to rank 3, token 1 only passes through: two copies forwarded, two rows reduced back.
TEST(Hierarchical, CrossesTheRailOnceAndForwardsInTheDomain) {
  const LayerTraffic t = plan(DispatcherKind::kHierarchical);
  EXPECT_EQ(text(t.dispatch), "0>1 x1 =100 s0 g-1; 0>2 x2 =200 s0 g0; 2>3 x2 =200 s1 g0; ");
  EXPECT_EQ(text(t.combine), "1>0 x1 =200 s0 g-1; 3>2 x2 =400 s0 g0; 2>0 x2 =400 s1 g0; ");
  EXPECT_EQ(t.dispatch.num_groups, 1);
  EXPECT_EQ(t.returned_rows, (std::vector<std::int64_t>{4, 0, 0, 0}));
}

TEST(Hierarchical, TakesTheIndexModuloTheDomainWhereNoRankHasIt) {
  const LayerTraffic t = plan_traffic(
      {.num_experts = 3, .top_k = 1, .token_begin = {0, 0, 1, 1}, .experts = {2}, .weights = {}},
      {},
      contiguous_placement(3, 3),
      {.places = {{0, 0}, {0, 1}, {1, 0}},
       .spec = {.kind = DispatcherKind::kHierarchical},
       .copy = kCopy});
  EXPECT_EQ(text(t.dispatch), "1>2 x1 =100 s0 g0; ");
}

TEST(Pairwise, SendsNothingForDroppedAssignments) {
  Accepted accepted;
  accepted.keep = {1, 0, 0, 0, 0, 1};
  EXPECT_EQ(text(plan(DispatcherKind::kPairwise, accepted).dispatch), "0>1 x1 =100 s0 g-1; ");
}

TEST(CopyBytes, OfDeepSeekV3AreThoseOfDeepEp) {
  ModelShape m;
  m.hidden_size = 7168;
  m.top_k = 8;
  m.dispatch_dtype = Dtype::kFp8;
  const CopyBytes normal = copy_bytes(m, DispatcherKind::kPairwise);
  EXPECT_EQ(normal.payload + normal.scales, 7392);
  EXPECT_EQ(normal.indices, 64);
  EXPECT_EQ(normal.combine, 14336);
  EXPECT_EQ(copy_bytes(m, DispatcherKind::kLowLatency).dispatch(), 7408);
}

/// `tokens` a rank, top-8 of 256 experts, every set equally likely.
Routing uniform_routing(int ranks, int tokens) {
  Routing routing{.num_experts = 256, .top_k = 8, .token_begin = {0}, .experts = {}, .weights = {}};
  RngStream rng(7, "uniform routing");
  std::vector<ExpertIndex> deck(256);
  std::iota(deck.begin(), deck.end(), ExpertIndex{0});
  for (int r = 0; r < ranks; ++r) {
    for (int t = 0; t < tokens; ++t) {
      for (std::size_t k = 0; k < 8; ++k) {
        std::swap(deck[k], deck[k + rng.below(256 - k)]);
        routing.experts.push_back(deck[k]);
      }
    }
    routing.token_begin.push_back((r + 1) * tokens);
  }
  return routing;
}

/// Expected distinct parts out of n equal ones that 8 of 256 experts meet:
///   n (1 - C(256 - 256/n, 8) / C(256, 8)).
double expected_distinct(int n) {
  double missed = 1.0;
  for (int i = 0; i < 8; ++i) {
    missed *= (256.0 - 256.0 / n - i) / (256.0 - i);
  }
  return n * (1.0 - missed);
}

// PUBLISHED.md: EP8 5.295 ranks, EP16 6.52 ranks. 1 %: 30,000 tokens or more put the mean's
// standard error below 0.1 %.
TEST(Pairwise, MeetsTheClosedFormOfDistinctRanks) {
  EXPECT_NEAR(expected_distinct(8), 5.295, 0.001);
  EXPECT_NEAR(expected_distinct(16), 6.523, 0.001);
  for (const int ranks : {8, 16}) {
    const LayerTraffic t =
        plan_traffic(uniform_routing(ranks, 4096),
                     {},
                     contiguous_placement(256, ranks),
                     {.places = std::vector<RankPlace>(static_cast<std::size_t>(ranks)),
                      .spec = {.kind = DispatcherKind::kPairwise},
                      .copy = kCopy});
    const auto copies =
        std::accumulate(t.rank_received.begin(), t.rank_received.end(), std::int64_t{0});
    const double mean = static_cast<double>(copies) / (4096.0 * ranks);
    EXPECT_NEAR(mean, expected_distinct(ranks), 0.01 * expected_distinct(ranks));
  }
}

}  // namespace
}  // namespace moesim
