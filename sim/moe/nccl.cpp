// SPDX-License-Identifier: Apache-2.0
// Grouped send/recv of a collective library: every assignment's row, one message per pair of ranks.
#include <algorithm>

#include "sim/moe/dispatch_parts.hpp"

namespace moesim {
namespace {

std::int32_t remainder(std::int64_t value, std::size_t modulus) {
  const auto m = static_cast<std::int64_t>(modulus);
  return static_cast<std::int32_t>(((value % m) + m) % m);
}

/// The round in which a rank meets a peer: domains by distance, then indices by distance, the own
/// rank first. Source and destination count alike, so in a round each rank sends to one peer and
/// gets from one. Source: ncclP2pSchedule, NCCL 2.19 and later, src/init.cc.
class Rounds {
 public:
  explicit Rounds(const Domains& domains) : domains_(domains) {
    for (const auto& members : domains.members) {
      widest_ = std::max(widest_, members.size());
    }
  }
  [[nodiscard]] std::int32_t of(std::size_t source, std::size_t destination) const {
    const auto distance = [](auto from, auto to) {
      return static_cast<std::int64_t>(to) - static_cast<std::int64_t>(from);
    };
    const std::int32_t domain = remainder(
        distance(domains_.of_rank[source], domains_.of_rank[destination]), domains_.size());
    const std::int32_t index = remainder(
        distance(domains_.index_of_rank[source], domains_.index_of_rank[destination]), widest_);
    return domain * static_cast<std::int32_t>(widest_) + index;
  }

 private:
  const Domains& domains_;
  std::size_t widest_ = 1;
};

}  // namespace

void plan_nccl(const RankCounts& counts,
               const Domains& domains,
               CopyBytes copy,
               LayerTraffic& traffic) {
  traffic.dispatch.transfers = direct_transfers(counts.assignments, copy.dispatch());
  traffic.combine.transfers = reverse_transfers(counts.assignments, copy.combine);
  const Rounds rounds(domains);
  for (CommPlan* plan : {&traffic.dispatch, &traffic.combine}) {
    merge_messages(*plan);
    for (Transfer& t : plan->transfers) {
      t.round = rounds.of(t.source.index(), t.destination.index());
    }
  }
}

}  // namespace moesim
