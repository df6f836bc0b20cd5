// SPDX-License-Identifier: Apache-2.0
// What sim/moe/routing.hpp declares.
#include <fmt/core.h>

#include <limits>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/moe/routing.hpp"
#include "sim/moe/traces/counts_draw.hpp"
#include "sim/moe/traces/pack.hpp"
#include "sim/moe/traces/refuse.hpp"
#include "sim/moe/traces/token_draw.hpp"
#include "sim/moe/traces/trace_source.hpp"

namespace moesim {

std::vector<std::int64_t> expert_load(const Routing& routing) {
  std::vector<std::int64_t> load(static_cast<std::size_t>(routing.num_experts));
  for (const ExpertIndex expert : routing.experts) {
    ++load[expert];
  }
  return load;
}

void take_choices(Routing& routing,
                  std::vector<ExpertIndex> experts,
                  std::vector<float> weights,
                  int candidates) {
  routing.num_candidates = candidates;
  if (candidates == 0) {
    routing.experts = std::move(experts);
    routing.weights = std::move(weights);
    return;
  }
  const auto deal = [&](const auto& all, auto& chosen, auto& others) {
    const auto first = static_cast<std::ptrdiff_t>(routing.top_k);
    const auto all_of_one = first + candidates;
    for (auto token = all.begin(); token != all.end(); token += all_of_one) {
      chosen.insert(chosen.end(), token, token + first);
      others.insert(others.end(), token + first, token + all_of_one);
    }
  };
  deal(experts, routing.experts, routing.candidates);
  deal(weights, routing.weights, routing.candidate_weights);
}

std::unique_ptr<RoutingSource> open_routing_source(const RoutingSpec& spec,
                                                   int ranks,
                                                   int tokens_per_rank,
                                                   std::uint64_t seed) {
  return traces::open_trace_source(spec, ranks, tokens_per_rank, seed, {});
}

std::unique_ptr<RoutingSource> traces::open_trace_source(
    const RoutingSpec& spec, int ranks, int tokens_per_rank, std::uint64_t seed, const Pace& pace) {
  MOESIM_CHECK(ranks > 0 && tokens_per_rank > 0, "no ranks or no tokens");
  traces::RoutePack pack = traces::read_pack(spec.trace, pace);
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  if (tokens_per_rank > kMost / ranks / pack.header.top_k) {
    throw UserError(fmt::format(
        "batch.tokens_per_rank: {} tokens on each of {} ranks with top_k {}; at most {} "
        "assignments a step",
        tokens_per_rank,
        ranks,
        pack.header.top_k,
        kMost));
  }
  if (pack.per_token()) {
    return traces::open_token_source(std::move(pack), spec, ranks, tokens_per_rank, seed);
  }
  if (!spec.domains.empty()) {
    throw UserError(std::vector<Diagnostic>{
        traces::mistake(pack.folder, "a counts pack has no domains", "routing.domains")});
  }
  return traces::open_counts_source(std::move(pack), ranks, tokens_per_rank, seed);
}

}  // namespace moesim
