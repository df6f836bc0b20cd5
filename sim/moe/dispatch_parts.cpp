// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/dispatch_parts.hpp"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <utility>

#include "sim/core/check.hpp"

namespace moesim {
namespace {

/// Tallies the tokens of one layer. Ranks and domains that a token has met are marked with the
/// token's own number, so nothing is cleared between tokens and no branch depends on the data.
class Tally {
 public:
  Tally(const Placement& placement, const Domains& domains, RankCounts& counts)
      : placement_(placement),
        domains_(domains),
        counts_(counts),
        rank_seen_(static_cast<std::size_t>(placement.num_ranks), -1),
        domain_seen_(domains.size(), -1) {}

  void add(std::size_t source, std::int32_t token, std::size_t slot) {
    const std::size_t rank = placement_.rank_of_slot[slot].index();
    const std::size_t domain = domains_.of_rank[rank];
    ++counts_.slot_tokens[slot];
    ++counts_.assignments.at(source, rank);
    counts_.copies.at(source, rank) += rank_seen_[rank] != token ? 1 : 0;
    counts_.relayed.at(source, domain) += domain_seen_[domain] != token ? 1 : 0;
    rank_seen_[rank] = token;
    domain_seen_[domain] = token;
  }

 private:
  const Placement& placement_;
  const Domains& domains_;
  RankCounts& counts_;
  std::vector<std::int32_t> rank_seen_;
  std::vector<std::int32_t> domain_seen_;
};

}  // namespace

RankCounts count_ranks(const Routing& routing,
                       const Accepted& accepted,
                       const Placement& placement,
                       const Domains& domains) {
  const auto ranks = static_cast<std::size_t>(placement.num_ranks);
  RankCounts counts{.copies = CountMatrix(ranks, ranks),
                    .assignments = CountMatrix(ranks, ranks),
                    .relayed = CountMatrix(ranks, domains.size()),
                    .slot_tokens = std::vector<std::int64_t>(placement.rank_of_slot.size())};
  Tally tally(placement, domains, counts);
  const std::vector<ExpertIndex>& experts =
      accepted.experts.empty() ? routing.experts : accepted.experts;
  const int per_token = accepted.per_token > 0 ? accepted.per_token : routing.top_k;
  MOESIM_CHECK(!placement.has_replicas() || accepted.slots.size() == experts.size(),
               "an assignment has a replica chosen for it");
  std::vector<std::uint32_t> first_slot;  // by expert
  for (int e = 0; accepted.slots.empty() && e < placement.num_experts(); ++e) {
    first_slot.push_back(
        static_cast<std::uint32_t>(placement.slots_of(ExpertId{e}).front().index()));
  }
  const auto slot_of = [&](std::size_t entry) -> std::size_t {
    return accepted.slots.empty() ? first_slot[experts[entry]] : accepted.slots[entry].index();
  };
  std::size_t entry = 0;
  for (std::size_t source = 0; source < ranks; ++source) {
    for (std::int32_t t = routing.token_begin[source]; t < routing.token_begin[source + 1]; ++t) {
      for (int k = 0; k < per_token; ++k, ++entry) {
        if (accepted.is_kept(entry)) {
          tally.add(source, t, slot_of(entry));
        }
      }
    }
  }
  return counts;
}

void pad_counts(const std::vector<std::int64_t>& rows_of_source,
                const Placement& placement,
                RankCounts& counts) {
  std::fill(counts.assignments.counts.begin(), counts.assignments.counts.end(), 0);
  for (std::size_t source = 0; source < rows_of_source.size(); ++source) {
    for (const RankId rank : placement.rank_of_slot) {
      counts.assignments.at(source, rank.index()) += rows_of_source[source];
    }
  }
  counts.copies = counts.assignments;
  const std::int64_t rows =
      std::accumulate(rows_of_source.begin(), rows_of_source.end(), std::int64_t{0});
  counts.slot_rows.assign(placement.rank_of_slot.size(), rows);
}

void add_transfer(CommPlan& plan, Transfer transfer, std::int64_t bytes_each) {
  if (transfer.messages > 0) {
    transfer.bytes = transfer.messages * bytes_each;
    plan.transfers.push_back(transfer);
  }
}

std::vector<Transfer> direct_transfers(const CountMatrix& counts, std::int64_t bytes_each) {
  CommPlan plan;
  for (std::size_t source = 0; source < counts.columns; ++source) {
    for (std::size_t destination = 0; destination < counts.columns; ++destination) {
      if (source != destination) {
        add_transfer(plan,
                     {.source = id_at<RankId>(source),
                      .destination = id_at<RankId>(destination),
                      .messages = counts.at(source, destination)},
                     bytes_each);
      }
    }
  }
  return std::move(plan.transfers);
}

std::vector<Transfer> reverse_transfers(const CountMatrix& counts, std::int64_t bytes_each) {
  CountMatrix reversed(counts.columns, counts.columns);
  for (std::size_t source = 0; source < counts.columns; ++source) {
    for (std::size_t destination = 0; destination < counts.columns; ++destination) {
      reversed.at(destination, source) = counts.at(source, destination);
    }
  }
  return direct_transfers(reversed, bytes_each);
}

void merge_messages(CommPlan& plan) {
  for (Transfer& transfer : plan.transfers) {
    transfer.messages = 1;
  }
}

RankCounts full_counts(const std::vector<std::int64_t>& tokens, const Domains& domains) {
  RankCounts counts{.copies = CountMatrix(tokens.size(), tokens.size()),
                    .assignments = CountMatrix(tokens.size(), tokens.size()),
                    .relayed = CountMatrix(tokens.size(), domains.size()),
                    .slot_tokens = {}};
  for (std::size_t source = 0; source < tokens.size(); ++source) {
    for (std::size_t rank = 0; rank < tokens.size(); ++rank) {
      counts.copies.at(source, rank) = counts.assignments.at(source, rank) = tokens[source];
    }
    for (std::size_t domain = 0; domain < domains.size(); ++domain) {
      counts.relayed.at(source, domain) = tokens[source];
    }
  }
  return counts;
}

}  // namespace moesim
