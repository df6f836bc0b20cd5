// SPDX-License-Identifier: Apache-2.0
// The simulator's capacity and the oracle's of the GPU layer, on the same random routing: exactly
// the same assignments are kept, dropped and moved.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "gpu_ref/oracle/gate.hpp"
#include "sim/core/rng.hpp"
#include "sim/moe/capacity.hpp"

namespace moesim {
namespace {

struct Case {
  Routing routing;
  gpu_ref::LayerSpec layer;
  CapacitySpec capacity;
  std::vector<std::int32_t> experts;  ///< as the oracle leaves them
};

/// Experts by descending logit, ties to the lower one.
std::vector<std::size_t> ranking(const gpu_ref::oracle::Matrix& logits, std::int64_t token) {
  std::vector<std::size_t> order(static_cast<std::size_t>(logits.columns));
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return logits.at(token, static_cast<std::int64_t>(a)) >
           logits.at(token, static_cast<std::int64_t>(b));
  });
  return order;
}

void add_rank(Case& c, RngStream& rng) {
  const int top_k = c.routing.top_k;
  gpu_ref::oracle::Matrix logits(static_cast<std::int64_t>(rng.below(25)), c.routing.num_experts);
  for (double& value : logits.values) {
    value = static_cast<double>(rng.below(1000)) / 250.0;
  }
  for (std::int64_t t = 0; t < logits.rows; ++t) {
    logits.at(t, 0) += 2.0;  // a hot expert
    const std::vector<std::size_t> order = ranking(logits, t);
    for (std::size_t i = 0; i < order.size(); ++i) {
      (i < static_cast<std::size_t>(top_k) ? c.routing.experts : c.routing.candidates)
          .push_back(static_cast<ExpertIndex>(order[i]));
    }
  }
  c.routing.token_begin.push_back(c.routing.token_begin.back() +
                                  static_cast<std::int32_t>(logits.rows));
  auto choice = gpu_ref::oracle::choose(logits, {}, c.layer.gate, top_k);
  if (c.layer.capacity.overflow == gpu_ref::Overflow::kNextBest && logits.rows > 0) {
    gpu_ref::oracle::divert(
        choice.experts,
        choice.choice,
        top_k,
        gpu_ref::expert_capacity(c.capacity.factor, logits.rows, top_k, c.routing.num_experts));
  }
  c.experts.insert(c.experts.end(), choice.experts.begin(), choice.experts.end());
}

Case random_case(std::uint64_t seed) {
  RngStream rng(seed, "capacity oracle");
  Case c;
  c.routing.num_experts = 4 + static_cast<int>(rng.below(13));
  c.routing.top_k = 1 + static_cast<int>(rng.below(3));
  c.routing.num_candidates = c.routing.num_experts - c.routing.top_k;
  c.routing.token_begin = {0};
  const bool moves = rng.below(2) == 1;
  const bool group = !moves && rng.below(2) == 1;
  c.capacity.policy = moves ? OverflowPolicy::kNextBest : OverflowPolicy::kDrop;
  c.capacity.scope = group ? CapacityScope::kGroup : CapacityScope::kRank;
  c.capacity.factor = 0.3 + static_cast<double>(rng.below(30)) / 10.0;
  c.layer.shape.num_experts = c.routing.num_experts;
  c.layer.shape.top_k = c.routing.top_k;
  c.layer.capacity = {
      .overflow = moves ? gpu_ref::Overflow::kNextBest : gpu_ref::Overflow::kDrop,
      .factor = c.capacity.factor,
      .scope = group ? gpu_ref::OverflowScope::kGroup : gpu_ref::OverflowScope::kRank};
  for (std::uint64_t rank = 0; rank <= rng.below(3); ++rank) {
    add_rank(c, rng);
  }
  return c;
}

TEST(CapacityOracle, KeepsAndMovesExactlyWhatTheGpuLayersOracleDoes) {
  std::int64_t dropped = 0;
  std::int64_t diverted = 0;
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    const Case c = random_case(seed);
    const Accepted ours = apply_capacity(c.routing, c.capacity);
    const auto theirs = gpu_ref::oracle::kept(c.layer, c.experts, c.routing.token_begin);
    ASSERT_EQ(ours.keep, theirs) << seed;
    for (std::size_t i = 0; i < theirs.size() && !ours.experts.empty(); ++i) {
      if (theirs[i] != 0) {
        ASSERT_EQ(ours.experts[i], c.experts[i]) << seed << " " << i;
      }
    }
    dropped += ours.dropped;
    diverted += ours.diverted;
  }
  EXPECT_GT(dropped, 1000);
  EXPECT_GT(diverted, 1000);
}

}  // namespace
}  // namespace moesim
