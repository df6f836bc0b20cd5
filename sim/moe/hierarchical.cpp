// SPDX-License-Identifier: Apache-2.0
// One copy per (token, domain) over the rail to a relay, which forwards inside its domain. Needs no
// token list: a relay forwards to a rank exactly the copies that the pairwise dispatcher would
// send.
#include <algorithm>
#include <cstdint>
#include <utility>

#include "sim/moe/dispatch_parts.hpp"

namespace moesim {
namespace {

/// The relay traffic of one source rank into one other domain.
struct Relay {
  std::size_t source = 0;
  std::size_t domain = 0;
  std::size_t rank = 0;
  std::int32_t group = 0;
};

std::vector<Relay> relays(const RankCounts& counts, const Domains& domains) {
  std::vector<Relay> result;
  for (std::size_t source = 0; source < domains.of_rank.size(); ++source) {
    for (std::size_t domain = 0; domain < domains.size(); ++domain) {
      if (domain != domains.of_rank[source] && counts.relayed.at(source, domain) > 0) {
        result.push_back({.source = source,
                          .domain = domain,
                          .rank = domains.relay(source, domain),
                          .group = static_cast<std::int32_t>(result.size())});
      }
    }
  }
  return result;
}

Transfer transfer_between(std::size_t from, std::size_t to, std::int64_t messages) {
  return {.source = id_at<RankId>(from), .destination = id_at<RankId>(to), .messages = messages};
}

/// Adds what moves between relays' domains (rail) and inside them (fan) for every group.
void plan_groups(const RankCounts& counts,
                 const Domains& domains,
                 CopyBytes copy,
                 LayerTraffic& traffic) {
  for (const Relay& relay : relays(counts, domains)) {
    const std::int64_t rows = counts.relayed.at(relay.source, relay.domain);
    Transfer out = transfer_between(relay.source, relay.rank, rows);
    Transfer back = transfer_between(relay.rank, relay.source, rows);
    out.group = back.group = relay.group;
    back.stage = 1;
    add_transfer(traffic.dispatch, out, copy.dispatch());
    add_transfer(traffic.combine, back, copy.combine);
    for (const std::size_t rank : domains.members[relay.domain]) {
      if (rank != relay.rank) {
        const std::int64_t copies = counts.copies.at(relay.source, rank);
        Transfer forward = transfer_between(relay.rank, rank, copies);
        Transfer gather = transfer_between(rank, relay.rank, copies);
        forward.group = gather.group = relay.group;
        forward.stage = 1;
        add_transfer(traffic.dispatch, forward, copy.dispatch());
        add_transfer(traffic.combine, gather, copy.combine);
      }
    }
    traffic.dispatch.num_groups = traffic.combine.num_groups = relay.group + 1;
  }
}

void plan_inside_domains(const RankCounts& counts,
                         const Domains& domains,
                         CopyBytes copy,
                         LayerTraffic& traffic) {
  for (std::size_t source = 0; source < domains.of_rank.size(); ++source) {
    for (const std::size_t rank : domains.members[domains.of_rank[source]]) {
      if (rank != source) {
        const std::int64_t copies = counts.copies.at(source, rank);
        add_transfer(traffic.dispatch, transfer_between(source, rank, copies), copy.dispatch());
        add_transfer(traffic.combine, transfer_between(rank, source, copies), copy.combine);
      }
    }
  }
}

/// By stage, source, destination and group. Keys are sorted instead of transfers, which are three
/// times as large.
void sort_transfers(CommPlan& plan) {
  struct Place {
    std::uint64_t ranks;  ///< stage, source, destination
    std::int32_t group;
    std::uint32_t at;
  };
  std::vector<Place> places;
  places.reserve(plan.transfers.size());
  for (const Transfer& t : plan.transfers) {
    places.push_back({.ranks = static_cast<std::uint64_t>(t.stage) << 48U |
                               static_cast<std::uint64_t>(t.source.index()) << 24U |
                               static_cast<std::uint64_t>(t.destination.index()),
                      .group = t.group,
                      .at = static_cast<std::uint32_t>(places.size())});
  }
  std::sort(places.begin(), places.end(), [](const Place& a, const Place& b) {
    return a.ranks != b.ranks ? a.ranks < b.ranks : a.group < b.group;
  });
  std::vector<Transfer> sorted;
  sorted.reserve(places.size());
  for (const Place& place : places) {
    sorted.push_back(plan.transfers[place.at]);
  }
  plan.transfers = std::move(sorted);
}

}  // namespace

void plan_hierarchical(const RankCounts& counts,
                       const Domains& domains,
                       CopyBytes copy,
                       LayerTraffic& traffic) {
  plan_inside_domains(counts, domains, copy, traffic);
  plan_groups(counts, domains, copy, traffic);
  sort_transfers(traffic.dispatch);
  sort_transfers(traffic.combine);
}

}  // namespace moesim
