// SPDX-License-Identifier: Apache-2.0
// The two-stage dispatcher: over the rail to the GPU of the same index, then inside its domain.
#include <algorithm>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/moe/traffic_counts.hpp"

namespace moesim {
namespace {

/// The ranks of every scale-up domain and the relay of each (source, domain).
class Domains {
 public:
  explicit Domains(const std::vector<RankPlace>& places) : places_(places) {
    int highest = -1;
    for (const RankPlace& place : places) {
      highest = std::max(highest, place.domain);
    }
    members_.resize(static_cast<std::size_t>(highest + 1));
    for (std::size_t r = 0; r < places.size(); ++r) {
      members_[of(r)].push_back(static_cast<std::int32_t>(r));
    }
  }

  [[nodiscard]] std::size_t count() const { return members_.size(); }
  [[nodiscard]] std::size_t of(std::size_t rank) const { return static_cast<std::size_t>(places_[rank].domain); }

  /// The rank of `domain` with the source's index; modulo its ranks when it has fewer.
  [[nodiscard]] std::size_t relay(std::size_t source, std::size_t domain) const {
    const auto& members = members_[domain];
    MOESIM_CHECK(!members.empty(), "a relay in a domain without ranks");
    const auto index = static_cast<std::size_t>(places_[source].index_in_domain);
    return static_cast<std::size_t>(members[index % members.size()]);
  }

 private:
  const std::vector<RankPlace>& places_;
  std::vector<std::vector<std::int32_t>> members_;
};

/// Copies per (source, rank) and per (source, domain); a token counts once in each.
struct Copies {
  CountMatrix to_rank;
  CountMatrix to_domain;
};

Copies count_copies(const AssignmentScan& scan, const Domains& domains, std::size_t ranks) {
  Copies copies{CountMatrix(ranks, ranks), CountMatrix(ranks, domains.count())};
  StampSet seen_rank(ranks);
  StampSet seen_domain(domains.count());
  scan.for_each_token([&](int source, std::span<const std::int32_t> destinations) {
    seen_rank.clear();
    seen_domain.clear();
    for (const std::int32_t rank : destinations) {
      if (seen_rank.insert(rank)) {
        const std::size_t domain = domains.of(static_cast<std::size_t>(rank));
        ++copies.to_rank.at(static_cast<std::size_t>(source), static_cast<std::size_t>(rank));
        if (seen_domain.insert(static_cast<std::int32_t>(domain))) {
          ++copies.to_domain.at(static_cast<std::size_t>(source), domain);
        }
      }
    }
  });
  return copies;
}

/// Writes dispatch and combine side by side: the combine is the dispatch with every arrow turned and
/// the stages swapped.
class HierarchicalPlan {
 public:
  HierarchicalPlan(const Copies& copies, const Domains& domains, const CopyBytes& copy)
      : copies_(copies), domains_(domains), copy_(copy) {}

  LayerTraffic build() {
    const std::size_t ranks = copies_.to_rank.columns;
    traffic_.dispatch.logical = TrafficMatrix(static_cast<int>(ranks));
    traffic_.combine.logical = TrafficMatrix(static_cast<int>(ranks));
    traffic_.rank_received.resize(ranks);
    traffic_.returned_rows.resize(ranks);
    for (std::size_t source = 0; source < ranks; ++source) {
      for (std::size_t domain = 0; domain < domains_.count(); ++domain) {
        if (domain != domains_.of(source) && copies_.to_domain.at(source, domain) > 0) {
          add_remote_domain(source, domain);
        }
      }
      for (std::size_t rank = 0; rank < ranks; ++rank) {
        add_rank(source, rank);
      }
    }
    return std::move(traffic_);
  }

 private:
  /// One arrow of the dispatch from a to b, and its reverse in the combine.
  void add_arrow(std::size_t from, std::size_t to, std::int64_t count, int stage, int group) {
    if (from == to || count == 0) {
      return;
    }
    const int combine_stage = group < 0 ? 0 : 1 - stage;
    traffic_.dispatch.transfers.push_back(
        {id_at<RankId>(from), id_at<RankId>(to), count * copy_.dispatch(), count, stage, group});
    traffic_.combine.transfers.push_back(
        {id_at<RankId>(to), id_at<RankId>(from), count * copy_.combine, count, combine_stage, group});
  }

  void add_remote_domain(std::size_t source, std::size_t domain) {
    const int group = traffic_.dispatch.num_groups++;
    traffic_.combine.num_groups = traffic_.dispatch.num_groups;
    const std::size_t relay = domains_.relay(source, domain);
    traffic_.returned_rows[source] += copies_.to_domain.at(source, domain);
    add_arrow(source, relay, copies_.to_domain.at(source, domain), 0, group);
    for (std::size_t rank = 0; rank < copies_.to_rank.columns; ++rank) {
      if (domains_.of(rank) == domain) {
        add_arrow(relay, rank, copies_.to_rank.at(source, rank), 1, group);
      }
    }
  }

  void add_rank(std::size_t source, std::size_t rank) {
    const std::int64_t count = copies_.to_rank.at(source, rank);
    traffic_.rank_received[rank] += count;
    if (domains_.of(source) == domains_.of(rank)) {
      traffic_.returned_rows[source] += count;
      add_arrow(source, rank, count, 0, -1);
    }
    if (source != rank) {
      traffic_.dispatch.logical.at(id_at<RankId>(source), id_at<RankId>(rank)) = count * copy_.dispatch();
      traffic_.combine.logical.at(id_at<RankId>(rank), id_at<RankId>(source)) = count * copy_.combine;
    }
  }

  const Copies& copies_;
  const Domains& domains_;
  const CopyBytes& copy_;
  LayerTraffic traffic_;
};

}  // namespace

LayerTraffic plan_hierarchical(const AssignmentScan& scan, const DispatchSetup& setup) {
  const Domains domains(setup.places);
  const Copies copies = count_copies(scan, domains, setup.places.size());
  return HierarchicalPlan(copies, domains, setup.copy).build();
}

}  // namespace moesim
