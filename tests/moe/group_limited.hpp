// SPDX-License-Identifier: Apache-2.0
// Random routings: the gating of the published DeepEP runs (256 experts in 8 groups, top-8 out of 4
// groups), and gating without groups.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "sim/core/rng.hpp"
#include "sim/moe/routing.hpp"

namespace moesim::testing {

/// Top-8 of 256 experts by random scores, only from the 4 groups of 32 with the largest best score,
/// as in DeepEP's tests.
inline std::vector<ExpertIndex> group_limited_choice(RngStream& rng) {
  constexpr std::size_t kGroup = 32;
  std::array<double, 256> score{};
  std::generate(score.begin(), score.end(), [&] { return rng.uniform01(); });
  const auto best = [&](std::size_t group) {
    const auto first = score.begin() + static_cast<std::ptrdiff_t>(kGroup * group);
    return *std::max_element(first, first + kGroup);
  };
  std::array<std::size_t, 8> groups{0, 1, 2, 3, 4, 5, 6, 7};
  std::sort(groups.begin(), groups.end(), [&](auto a, auto b) { return best(a) > best(b); });
  std::vector<ExpertIndex> experts;
  for (std::size_t g = 0; g < 4; ++g) {
    for (std::size_t e = kGroup * groups[g]; e < kGroup * (groups[g] + 1); ++e) {
      experts.push_back(static_cast<ExpertIndex>(e));
    }
  }
  std::sort(experts.begin(), experts.end(), [&](auto a, auto b) { return score[a] > score[b]; });
  experts.resize(8);
  return experts;
}

/// 8 distinct experts, each as likely as any other.
inline std::vector<ExpertIndex> uniform_choice(RngStream& rng, int num_experts) {
  std::vector<ExpertIndex> experts;
  while (experts.size() < 8) {
    const auto e = static_cast<ExpertIndex>(rng.below(static_cast<std::uint64_t>(num_experts)));
    if (std::find(experts.begin(), experts.end(), e) == experts.end()) {
      experts.push_back(e);
    }
  }
  return experts;
}

template <typename Choice>
Routing routing_of(int num_experts, int ranks, int tokens_per_rank, const Choice& choose) {
  RngStream rng(1, "gating");
  Routing routing{
      .num_experts = num_experts, .top_k = 8, .token_begin = {0}, .experts = {}, .weights = {}};
  for (int r = 0; r < ranks; ++r) {
    for (int t = 0; t < tokens_per_rank; ++t) {
      const std::vector<ExpertIndex> experts = choose(rng);
      routing.experts.insert(routing.experts.end(), experts.begin(), experts.end());
    }
    routing.token_begin.push_back((r + 1) * tokens_per_rank);
  }
  return routing;
}

inline Routing group_limited_routing(int ranks, int tokens_per_rank) {
  return routing_of(256, ranks, tokens_per_rank, group_limited_choice);
}

inline Routing uniform_routing(int num_experts, int ranks, int tokens_per_rank) {
  return routing_of(num_experts, ranks, tokens_per_rank, [&](RngStream& rng) {
    return uniform_choice(rng, num_experts);
  });
}

}  // namespace moesim::testing
