// SPDX-License-Identifier: Apache-2.0
// How the replicas of one expert share its assignments.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "sim/moe/domains.hpp"
#include "sim/moe/placement.hpp"
#include "sim/study/expert_traffic.hpp"

namespace moesim {

/// Assignments that each replica of an expert gets.
struct ReplicaSplit {
  std::vector<std::int64_t> rows;        ///< [replica][step]
  std::vector<std::int64_t> sent;        ///< [replica][source], all steps
  std::vector<std::int64_t> peaks = {};  ///< [replica] rows in the expert's busiest step
};

/// Kept tokens of an expert by the replica that they reach when replicas take turns: what
/// even_split does with all.
struct TurnTokens {
  std::size_t replicas = 1;
  std::vector<std::int32_t> begin;  ///< [source][replica], one more: into token
  std::vector<std::int32_t> token;

  [[nodiscard]] std::span<const std::int32_t> of(std::size_t source, std::size_t replica) const {
    const std::size_t cell = source * replicas + replica;
    const auto first = static_cast<std::size_t>(begin[cell]);
    return std::span(token).subspan(first, static_cast<std::size_t>(begin[cell + 1]) - first);
  }
};

[[nodiscard]] TurnTokens turn_tokens(const ExpertTraffic& traffic,
                                     std::size_t expert,
                                     std::size_t replicas);

/// The n-th assignment of a source in a step to replica (source + n) mod replicas, as
/// ReplicaChoice::kEven does.
[[nodiscard]] ReplicaSplit even_split(const ExpertTraffic& traffic,
                                      std::size_t expert,
                                      std::size_t replicas);

/// The replica that each source takes as ReplicaChoice::kNearest does. @param rank_of  by replica
[[nodiscard]] std::vector<std::size_t> nearest_replicas(const Domains& domains,
                                                        std::size_t expert,
                                                        std::span<const std::size_t> rank_of);

/// Every source to its own replica.
[[nodiscard]] ReplicaSplit split_by_source(const ExpertTraffic& traffic,
                                           std::size_t expert,
                                           std::span<const std::size_t> replica_of_source,
                                           std::size_t replicas);

/// The replica of every assignment of an expert, source by source, step by step.
struct ReplicaTurns {
  std::vector<std::int32_t> begin;     ///< [source + 1] into replica
  std::vector<std::uint16_t> replica;  ///< by KeptAssignment::order of a source

  [[nodiscard]] std::size_t of(std::size_t source, std::int32_t order) const {
    return replica[static_cast<std::size_t>(begin[source]) + static_cast<std::size_t>(order)];
  }
  bool operator==(const ReplicaTurns&) const = default;
};

/// As ReplicaChoice::kCapacityLimited does. @param limits  by step (replica_limit)
[[nodiscard]] ReplicaTurns limited_turns(const ExpertTraffic& traffic,
                                         const Domains& domains,
                                         std::size_t expert,
                                         std::span<const std::size_t> rank_of,
                                         std::span<const std::int64_t> limits);

/// As ReplicaChoice::kLeastLoaded does: of every expert with several slots, empty of others.
/// @param slots_of  by expert, ascending   @pre traffic has the order of its assignments
[[nodiscard]] std::vector<ReplicaTurns> least_loaded_turns(
    const ExpertTraffic& traffic,
    std::span<const std::vector<std::size_t>> slots_of,
    std::size_t slots_per_rank);

[[nodiscard]] ReplicaSplit split_by_turns(const ExpertTraffic& traffic,
                                          std::size_t expert,
                                          const ReplicaTurns& turns,
                                          std::size_t replicas);

}  // namespace moesim
