// SPDX-License-Identifier: Apache-2.0
#include "sim/study/replica_shares.hpp"

#include <numeric>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/moe/replica_choice.hpp"
#include "sim/study/row_spread.hpp"

namespace moesim {
namespace {

/// What a slot takes before others do, by step.
std::vector<std::int64_t> step_limits(const ReplicaRule& rule,
                                      const ExpertTraffic& traffic,
                                      int num_slots) {
  std::vector<std::int64_t> limits;
  for (int step = 0; step < traffic.steps; ++step) {
    std::int64_t assignments = 0;
    for (std::size_t e = 0; e < static_cast<std::size_t>(traffic.experts); ++e) {
      const std::span<const std::int32_t> counts = traffic.of(step, e);
      assignments = std::accumulate(counts.begin(), counts.end(), assignments);
    }
    limits.push_back(replica_limit(rule, assignments, num_slots));
  }
  return limits;
}

/// The step in which each expert has most rows, of equal ones the first.
std::vector<std::size_t> peak_steps(const ExpertTraffic& traffic) {
  std::vector<std::size_t> peaks;
  for (std::size_t e = 0; e < static_cast<std::size_t>(traffic.experts); ++e) {
    std::size_t peak = 0;
    std::int64_t most = 0;
    for (int step = 0; step < traffic.steps; ++step) {
      const std::span<const std::int32_t> counts = traffic.of(step, e);
      const std::int64_t sum = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
      if (sum > most) {
        most = sum;
        peak = static_cast<std::size_t>(step);
      }
    }
    peaks.push_back(peak);
  }
  return peaks;
}

}  // namespace

ReplicaShares::ReplicaShares(const ReplicaRule& rule,
                             const ExpertTraffic& traffic,
                             const Domains& domains,
                             int num_slots,
                             double kept)
    : choice_(rule.choice),
      traffic_(traffic),
      domains_(domains),
      slots_per_rank_(static_cast<std::size_t>(num_slots / traffic.ranks)),
      kept_(kept),
      peak_step_(peak_steps(traffic)),
      even_(static_cast<std::size_t>(traffic.experts)) {
  if (is_joint()) {
    std::size_t assignments = 0;
    for (const std::int32_t tokens : traffic.tokens) {
      assignments += static_cast<std::size_t>(tokens) * static_cast<std::size_t>(traffic.top_k);
    }
    MOESIM_CHECK(traffic.order.size() == assignments, "least_loaded needs assignments in order");
  }
  if (choice_ == ReplicaChoice::kCapacityLimited) {
    limits_ = step_limits(rule, traffic, num_slots);
  }
}

std::vector<std::size_t> ReplicaShares::differing(std::span<const ReplicaTurns> turns) const {
  std::vector<std::size_t> experts;
  for (std::size_t e = 0; e < turns.size(); ++e) {
    if (turns[e] != turns_[e]) {
      experts.push_back(e);
    }
  }
  return experts;
}

void ReplicaShares::take(std::vector<ReplicaTurns> turns,
                         std::span<const std::vector<std::size_t>> slots_of) {
  turns_.resize(turns.size());
  splits_.resize(turns.size());
  for (std::size_t e = 0; e < turns.size(); ++e) {
    const std::size_t replicas = slots_of[e].size();
    const std::size_t known = splits_[e].rows.size();
    if (replicas > 1 &&
        (turns[e] != turns_[e] || known != replicas * static_cast<std::size_t>(traffic_.steps))) {
      splits_[e] = smoothed(e, split_by_turns(traffic_, e, turns[e], replicas));
    }
  }
  turns_ = std::move(turns);
}

ServedExpert ReplicaShares::serve(std::size_t expert, std::vector<std::size_t> slots) {
  ServedExpert served;
  ReplicaRows& ranks = served.ranks;
  const std::size_t replicas = slots.size();
  for (const std::size_t slot : slots) {
    ranks.rows.push_back(slot / slots_per_rank_);
  }
  served.slots = std::move(slots);
  if (choice_ == ReplicaChoice::kNearest && replicas > 1) {
    ranks.nearest = nearest_replicas(domains_, expert, ranks.rows);
    served.own = smoothed(expert, split_by_source(traffic_, expert, ranks.nearest, replicas));
  } else if (choice_ == ReplicaChoice::kCapacityLimited && replicas > 1) {
    ranks.turns = limited_turns(traffic_, domains_, expert, ranks.rows, limits_);
    served.own = smoothed(expert, split_by_turns(traffic_, expert, ranks.turns, replicas));
  } else if (choice_ == ReplicaChoice::kLeastLoaded && replicas > 1) {
    ranks.turns = turns_[expert];
    served.own = splits_[expert];
  } else {
    const Even& share = even(expert, replicas);
    served.even = &share.split;
    ranks.in_turn = &share.tokens;
  }
  return served;
}

const ReplicaShares::Even& ReplicaShares::even(std::size_t expert, std::size_t replicas) {
  std::vector<std::unique_ptr<const Even>>& known = even_[expert];
  if (known.size() < replicas) {
    known.resize(replicas);
  }
  std::unique_ptr<const Even>& share = known[replicas - 1];
  if (!share) {
    share = std::make_unique<const Even>(
        Even{.split = smoothed(expert, even_split(traffic_, expert, replicas)),
             .tokens = turn_tokens(traffic_, expert, replicas)});
  }
  return *share;
}

ReplicaSplit ReplicaShares::smoothed(std::size_t expert, ReplicaSplit split) const {
  const auto steps = static_cast<std::size_t>(traffic_.steps);
  for (std::size_t first = 0; first < split.rows.size(); first += steps) {
    smooth_rows(std::span(split.rows).subspan(first, steps), kept_);
    split.peaks.push_back(split.rows[first + peak_step_[expert]]);
  }
  return split;
}

}  // namespace moesim
