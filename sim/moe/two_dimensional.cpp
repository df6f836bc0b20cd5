// SPDX-License-Identifier: Apache-2.0
// Two all-to-alls, one after the other: inside the domain to the GPU of the destination's index,
// which then has the rows of all its neighbours for its own rail.
#include "sim/moe/dispatch_parts.hpp"

namespace moesim {
namespace {

/// Rows of each stage, [from][to].
struct Stages {
  CountMatrix inside;  ///< source -> relay of its domain, the relay's own rank included
  CountMatrix across;  ///< relay -> destination in another domain
};

Stages stages_of(const RankCounts& counts, const Domains& domains) {
  const std::size_t ranks = domains.of_rank.size();
  Stages stages{CountMatrix(ranks, ranks), CountMatrix(ranks, ranks)};
  for (std::size_t source = 0; source < ranks; ++source) {
    const std::size_t domain = domains.of_rank[source];
    for (std::size_t destination = 0; destination < ranks; ++destination) {
      const bool leaves = domains.of_rank[destination] != domain;
      const std::size_t relay = leaves ? domains.relay(destination, domain) : destination;
      const std::int64_t rows = counts.assignments.at(source, destination);
      stages.inside.at(source, relay) += rows;
      stages.across.at(relay, destination) += leaves ? rows : 0;
    }
  }
  return stages;
}

/// Appends the transfers of one stage; the relay's rank is the number of its group.
void append(CommPlan& plan, std::vector<Transfer> transfers, std::int32_t stage, bool from_relay) {
  for (Transfer& t : transfers) {
    t.stage = stage;
    t.group = from_relay ? t.source.value : t.destination.value;
    plan.transfers.push_back(t);
  }
}

}  // namespace

void plan_two_dimensional(const RankCounts& counts,
                          const Domains& domains,
                          CopyBytes copy,
                          LayerTraffic& traffic) {
  const Stages stages = stages_of(counts, domains);
  append(traffic.dispatch, direct_transfers(stages.inside, copy.dispatch()), 0, false);
  append(traffic.dispatch, direct_transfers(stages.across, copy.dispatch()), 1, true);
  append(traffic.combine, reverse_transfers(stages.across, copy.combine), 0, false);
  append(traffic.combine, reverse_transfers(stages.inside, copy.combine), 1, true);
  for (CommPlan* plan : {&traffic.dispatch, &traffic.combine}) {
    plan->num_groups = static_cast<std::int32_t>(domains.of_rank.size());
    merge_messages(*plan);
  }
}

}  // namespace moesim
