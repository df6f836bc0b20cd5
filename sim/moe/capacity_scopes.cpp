// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/capacity_scopes.hpp"

namespace moesim {
namespace {

TokenRange part_of_rank(const Routing& routing, int rank, int part, int parts) {
  const std::int32_t first = routing.token_begin[static_cast<std::size_t>(rank)];
  const std::int64_t tokens = routing.token_begin[static_cast<std::size_t>(rank) + 1] - first;
  return {.rank = rank,
          .begin = first + static_cast<std::int32_t>(tokens * part / parts),
          .end = first + static_cast<std::int32_t>(tokens * (part + 1) / parts)};
}

void add_range(ServedScope& scope, TokenRange range) {
  scope.tokens += range.end - range.begin;
  scope.ranges.push_back(range);
}

}  // namespace

std::vector<ServedScope> served_scopes(const Routing& routing, const CapacitySpec& spec) {
  const bool whole = spec.scope == CapacityScope::kRank || spec.scope == CapacityScope::kGlobal;
  const bool pooled = spec.scope == CapacityScope::kGroup || spec.scope == CapacityScope::kGlobal;
  const int parts = whole ? 1 : spec.micro_batches;
  std::vector<ServedScope> scopes;
  for (int part = 0; part < parts; ++part) {
    for (int rank = 0; rank < routing.num_ranks(); ++rank) {
      if (!pooled || rank == 0) {
        scopes.emplace_back();
      }
      add_range(scopes.back(), part_of_rank(routing, rank, part, parts));
    }
  }
  return scopes;
}

std::int64_t scope_capacity(const Routing& routing,
                            double factor,
                            const ServedScope& scope,
                            int slots) {
  return slot_capacity(
      factor, scope.tokens, routing.top_k, slots > 0 ? slots : routing.num_experts);
}

}  // namespace moesim
