// SPDX-License-Identifier: Apache-2.0
// The round before a dispatch in which ranks tell each other what they will send.
#include <algorithm>
#include <utility>

#include "sim/moe/dispatch_parts.hpp"

namespace moesim {
namespace {

constexpr std::int64_t kCountBytes = 4;      // DeepEP and TensorRT-LLM: int32 counts
constexpr std::int64_t kWideCountBytes = 8;  // Megatron-Core: int64 tokens of each expert
constexpr std::int64_t kMapBytes = 1;        // HybridEP: one bool a token and expert

CommPlan all_pairs(std::size_t ranks, std::int64_t bytes_each) {
  CountMatrix ones(ranks, ranks);
  std::fill(ones.counts.begin(), ones.counts.end(), 1);
  CommPlan plan;
  plan.transfers = direct_transfers(ones, bytes_each);
  plan.row_bytes = bytes_each;
  return plan;
}

/// One message a source and rank, by way of the relays.
CommPlan by_relays(const std::vector<std::int64_t>& rows,
                   const Domains& domains,
                   std::int64_t row_bytes) {
  LayerTraffic traffic;
  plan_hierarchical(full_counts(rows, domains), domains, {.payload = row_bytes}, traffic);
  traffic.dispatch.row_bytes = row_bytes;
  merge_messages(traffic.dispatch);
  return std::move(traffic.dispatch);
}

CommPlan hierarchical_counts(const RoutedTokens& size, const Domains& domains) {
  const std::size_t ranks = domains.of_rank.size();
  const std::int64_t experts = size.num_slots / static_cast<std::int64_t>(ranks);
  CommPlan plan =
      by_relays(std::vector<std::int64_t>(ranks, 1), domains, kCountBytes * (experts + 1));
  for (Transfer& t : plan.transfers) {
    if (t.stage == 0 && t.group >= 0) {  // over the rail, for the whole domain
      const auto members =
          static_cast<std::int64_t>(domains.members[domains.of_rank[t.destination.index()]].size());
      t.bytes = kCountBytes * (members * experts + members + 1);
    }
  }
  return plan;
}

}  // namespace

CommPlan plan_notify(DispatcherKind kind, const RoutedTokens& size, const Domains& domains) {
  const std::size_t ranks = domains.of_rank.size();
  switch (kind) {
    case DispatcherKind::kPairwise:
    case DispatcherKind::kTwoSided: {
      const std::int64_t experts = size.num_slots / static_cast<std::int64_t>(ranks);
      return all_pairs(ranks, kCountBytes * (experts + 1));
    }
    case DispatcherKind::kNccl:
    case DispatcherKind::kTwoDimensional:
      return all_pairs(ranks, kWideCountBytes * size.num_slots);
    case DispatcherKind::kHierarchical:
      return hierarchical_counts(size, domains);
    case DispatcherKind::kHybridEp:
      return by_relays(size.tokens, domains, kMapBytes * size.num_slots);
    case DispatcherKind::kLowLatency:
    case DispatcherKind::kAllGather:
    case DispatcherKind::kOneSided:
      break;
  }
  CommPlan none;
  return none;
}

}  // namespace moesim
