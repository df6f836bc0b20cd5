// SPDX-License-Identifier: Apache-2.0
// Drop rates against a closed form and against one published set of rack measurements.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "sim/core/rng.hpp"
#include "sim/moe/capacity.hpp"

namespace moesim {
namespace {

double dropped_share(const Routing& routing, OverflowPolicy policy, double factor, int tries = 0) {
  CapacitySpec spec;
  spec.policy = policy;
  spec.factor = factor;
  spec.tries = tries;
  const Accepted a = apply_capacity(routing, spec);
  return static_cast<double>(a.dropped) / static_cast<double>(a.assignments);
}

/// How far logits lie apart: standard deviations of what all ranks share and of each one's own.
struct Logits {
  double own = 0;
  double shared = 0;
};

/// top_k distinct experts a token, by logit + Gumbel noise.
Routing clustered(int ranks, int tokens, int experts, int top_k, Logits spread) {
  Routing routing{
      .num_experts = experts, .top_k = top_k, .token_begin = {0}, .experts = {}, .weights = {}};
  RngStream rng(7, "capacity_published");
  const auto uniform = [&] { return (static_cast<double>(rng.below(1U << 30U)) + 0.5) / 0x1p30; };
  const auto normal = [&] {
    return std::sqrt(-2.0 * std::log(uniform())) * std::cos(2.0 * M_PI * uniform());
  };
  std::vector<double> shared(static_cast<std::size_t>(experts));
  for (double& value : shared) {
    value = spread.shared > 0 ? spread.shared * normal() : 0.0;
  }
  std::vector<double> logit(shared.size());
  std::vector<double> score(logit.size());
  std::vector<ExpertIndex> order(logit.size());
  for (int rank = 0; rank < ranks; ++rank) {
    for (std::size_t e = 0; e < logit.size(); ++e) {
      logit[e] = shared[e] + spread.own * normal();
    }
    for (int t = 0; t < tokens; ++t) {
      for (std::size_t e = 0; e < score.size(); ++e) {
        score[e] = logit[e] - std::log(-std::log(uniform()));
      }
      std::iota(order.begin(), order.end(), ExpertIndex{0});
      std::partial_sort(order.begin(), order.begin() + top_k, order.end(), [&](auto a, auto b) {
        return score[a] > score[b];
      });
      routing.experts.insert(routing.experts.end(), order.begin(), order.begin() + top_k);
    }
    routing.token_begin.push_back(routing.token_begin.back() + tokens);
  }
  return routing;
}

// Balanced routing: the tokens that want one expert are X ~ Binomial(n, p), p = k / E, and at
// factor 1 the capacity is n p. Half of the mean absolute deviation is dropped, and De Moivre has
// E|X - np| = 2 v C(n, v) p^v q^(n - v + 1), v = floor(np) + 1: share = that / (2 n p).
// n = 2048, k = 8, E = 256: np = 64, share about sqrt(q / (2 pi np)) = 4.9 %. 16 ranks * 256 slots
// give a standard error of 1.46 / sqrt(4096) = 2.3 % of it; 4 of them are allowed.
TEST(DropRate, OfBalancedRoutingIsHalfTheMeanAbsoluteDeviation) {
  constexpr double kTokens = 2048;
  constexpr double kP = 8.0 / 256.0;
  const double v = std::floor(kTokens * kP) + 1;
  const double log_deviation = std::log(2.0 * v) + std::lgamma(kTokens + 1) - std::lgamma(v + 1) -
                               std::lgamma(kTokens - v + 1) + v * std::log(kP) +
                               (kTokens - v + 1) * std::log(1 - kP);
  const double expected = std::exp(log_deviation) / (2 * kTokens * kP);
  EXPECT_NEAR(expected, std::sqrt((1 - kP) / (2 * M_PI * kTokens * kP)), 2e-4);
  const double found = dropped_share(clustered(16, 2048, 256, 8, {}), OverflowPolicy::kDrop, 1.0);
  EXPECT_NEAR(found, expected, 0.092 * expected);
}

// Measured on 64 GB200 (EP64, 8 of 256 experts, capacity per sender and expert, training steps):
// factor 1.0 drops 9.68 %, 1.0625 drops 7.25 %. Source: marin-community/marin issue 7279, comment
// of 2026-08-02. The routing behind it is not public; ours is Gumbel top-k with one spread of the
// logits, fitted to 9.68 % alone. What it then drops at 1.0625 is a prediction: 7.17 %. Other draws
// of as many experts drop 7.1 to 7.3 %, which the bound holds.
TEST(Published, ASixteenthMoreCapacityDropsAsManyFewerAsWasMeasured) {
  const Routing routing = clustered(2, 8192, 256, 8, {.own = 0.23});
  EXPECT_NEAR(dropped_share(routing, OverflowPolicy::kDrop, 1.0), 0.0968, 0.001);
  EXPECT_NEAR(dropped_share(routing, OverflowPolicy::kDrop, 1.0625), 0.0725, 0.0015);
}

// The same cluster: factor 1.0 drops 7.10 %, with three spills 3.66 %, 0.52 times as many. Source:
// the same repository, issue 7201, comment of 2026-07-26 (means of the last 100 of 350 steps). Our
// routing, its spread fitted to 7.10 %, is left with 0.33 (other draws: to 0.38). That more is
// saved than was measured is a miss which no spread mends (docs/models.md has the table): the share
// that is left hardly depends on it where so few are dropped. The recorded routing of ESFT, which
// drops more, is left with 0.52 (real_data_test).
TEST(Published, SpillHalvesDropsAndMore) {
  const Routing routing = clustered(2, 8192, 256, 8, {.own = 0.165});
  const double plain = dropped_share(routing, OverflowPolicy::kDrop, 1.0);
  EXPECT_NEAR(plain, 0.0710, 0.001);
  const double left = dropped_share(routing, OverflowPolicy::kSpill, 1.0, 3) / plain;
  EXPECT_LT(left, 0.39);
  EXPECT_GT(left, 0.31);
}

// Measured on 64 GB200: capacity over the full batch drops 10.9 %, over each micro-batch 42.3 %,
// 3.9 times as much. Source: marin-community/marin issue 7668, comment of 2026-07-27. The routing
// is not public. Ours: 64 blocks of 512 tokens, 8 a rank, whose logits have a part of their own, as
// one subject has, and a part that all share. Two figures, two spreads: both are met, with a
// twentieth of the variance shared. The ratio is 6 when blocks share nothing and 1 when they share
// all (docs/models.md has the table), so that no bound on it alone would say more.
TEST(Published, MicroBatchesDropFourTimesWhatTheFullBatchDoes) {
  constexpr int kRanks = 8;
  constexpr int kMicroBatches = 8;
  Routing routing = clustered(kRanks * kMicroBatches, 512, 256, 8, {.own = 1.09, .shared = 0.24});
  for (int rank = 1; rank <= kRanks; ++rank) {
    routing.token_begin[static_cast<std::size_t>(rank)] = rank * kMicroBatches * 512;
  }
  routing.token_begin.resize(kRanks + 1);
  const auto dropped = [&](CapacityScope scope) {
    CapacitySpec spec;
    spec.policy = OverflowPolicy::kDrop;
    spec.scope = scope;
    spec.micro_batches = kMicroBatches;
    const Accepted a = apply_capacity(routing, spec);
    return static_cast<double>(a.dropped) / static_cast<double>(a.assignments);
  };
  const double micro_batch = dropped(CapacityScope::kMicroBatch);
  const double full_batch = dropped(CapacityScope::kGlobal);
  EXPECT_NEAR(micro_batch, 0.423, 0.01);
  EXPECT_NEAR(full_batch, 0.109, 0.005);
  EXPECT_GT(dropped(CapacityScope::kRank), 1.5 * full_batch);
  EXPECT_LT(dropped(CapacityScope::kRank), 0.6 * micro_batch);
}

}  // namespace
}  // namespace moesim
