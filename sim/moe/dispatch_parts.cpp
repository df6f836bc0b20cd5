// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/dispatch_parts.hpp"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/moe/seats.hpp"

namespace moesim {
namespace {

/// Tallies the tokens of one layer, source by source. Ranks and domains that a token has met are
/// marked with the token's own number, and what was dropped counts at a slot, rank and domain after
/// the last: nothing is cleared between tokens and no branch depends on the data.
class Tally {
 public:
  Tally(const Placement& placement, const Domains& domains)
      : seats_(seats(placement, domains)),
        by_slot_(seats_.size() + 1),
        copies_(static_cast<std::size_t>(placement.num_ranks) + 1),
        relayed_(domains.size() + 1),
        rank_seen_(copies_.size(), -1),
        domain_seen_(relayed_.size(), -1) {
    seats_.push_back({.rank = static_cast<std::uint32_t>(placement.num_ranks),
                      .domain = static_cast<std::uint32_t>(domains.size())});
  }
  [[nodiscard]] std::size_t nowhere() const { return seats_.size() - 1; }

  void add(std::int32_t token, std::size_t slot) {
    const Seat seat = seats_[slot];
    ++by_slot_[slot];
    copies_[seat.rank] += rank_seen_[seat.rank] != token ? 1U : 0U;
    relayed_[seat.domain] += domain_seen_[seat.domain] != token ? 1U : 0U;
    rank_seen_[seat.rank] = token;
    domain_seen_[seat.domain] = token;
  }

  /// Moves what was added since the last call to the counts of `source`.
  void flush(std::size_t source, RankCounts& counts) {
    for (std::size_t slot = 0; slot < nowhere(); ++slot) {
      counts.slot_tokens[slot] += by_slot_[slot];
      counts.assignments.at(source, seats_[slot].rank) += by_slot_[slot];
    }
    for (std::size_t rank = 0; rank + 1 < copies_.size(); ++rank) {
      counts.copies.at(source, rank) = copies_[rank];
    }
    for (std::size_t domain = 0; domain + 1 < relayed_.size(); ++domain) {
      counts.relayed.at(source, domain) = relayed_[domain];
    }
    std::fill(by_slot_.begin(), by_slot_.end(), 0);
    std::fill(copies_.begin(), copies_.end(), 0);
    std::fill(relayed_.begin(), relayed_.end(), 0);
  }

 private:
  std::vector<Seat> seats_;
  std::vector<std::uint32_t> by_slot_;
  std::vector<std::uint32_t> copies_;
  std::vector<std::uint32_t> relayed_;
  std::vector<std::int32_t> rank_seen_;
  std::vector<std::int32_t> domain_seen_;
};

/// Adds `entries` of each token of [begin, end), the first at `entry`, at the slots that `slot_of`
/// gives them.
template <typename SlotOf>
void add_tokens(Tally& tally,
                std::int32_t begin,
                std::int32_t end,
                int per_token,
                const Accepted& accepted,
                const SlotOf& slot_of) {
  const std::size_t nowhere = tally.nowhere();
  const std::uint8_t* keep = accepted.keep.empty() ? nullptr : accepted.keep.data();
  auto entry = static_cast<std::size_t>(begin) * static_cast<std::size_t>(per_token);
  for (std::int32_t t = begin; t < end; ++t) {
    for (int k = 0; k < per_token; ++k, ++entry) {
      const std::size_t slot = slot_of(entry);
      tally.add(t, keep == nullptr || keep[entry] != 0 ? slot : nowhere);
    }
  }
}

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
  const std::vector<ExpertIndex>& experts =
      accepted.experts.empty() ? routing.experts : accepted.experts;
  const int per_token = accepted.per_token > 0 ? accepted.per_token : routing.top_k;
  MOESIM_CHECK(!placement.has_replicas() || accepted.slots.size() == experts.size(),
               "an assignment has a replica chosen for it");
  const std::vector<std::uint32_t> first_slot = first_slots(placement);
  Tally tally(placement, domains);
  for (std::size_t source = 0; source < ranks; ++source) {
    const std::int32_t begin = routing.token_begin[source];
    const std::int32_t end = routing.token_begin[source + 1];
    if (accepted.slots.empty()) {
      add_tokens(tally, begin, end, per_token, accepted, [&](std::size_t entry) -> std::size_t {
        return first_slot[experts[entry]];
      });
    } else {
      add_tokens(tally, begin, end, per_token, accepted, [&](std::size_t entry) {
        return accepted.slots[entry].index();
      });
    }
    tally.flush(source, counts);
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
