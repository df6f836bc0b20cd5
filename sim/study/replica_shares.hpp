// SPDX-License-Identifier: Apache-2.0
// Where the assignments of an expert go under the replica rule of a model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "sim/study/replica_split.hpp"

namespace moesim {

/// Where the replicas of an expert lie: ranks, or domains.
struct ReplicaRows {
  std::vector<std::size_t> rows;        ///< by replica
  const TurnTokens* in_turn = nullptr;  ///< they take turns; else one of the next two
  std::vector<std::size_t> nearest;     ///< the replica of each source
  ReplicaTurns turns;                   ///< the replica of each assignment

  /// The row of one assignment. @pre they do not take turns
  [[nodiscard]] std::size_t of(std::size_t source, const KeptAssignment& kept) const {
    return rows[nearest.empty() ? turns.of(source, kept.order) : nearest[source]];
  }
};

/// How an expert is served.
struct ServedExpert {
  std::vector<std::size_t> slots;
  ReplicaRows ranks;
  ReplicaSplit own;                    ///< unless it is even
  const ReplicaSplit* even = nullptr;  ///< of ReplicaShares

  [[nodiscard]] const ReplicaSplit& split() const { return even != nullptr ? *even : own; }
};

/// Serves experts of one layer as ReplicaChooser does. The choices of kLeastLoaded hang together
/// through all experts, so they are told to it before it serves. Checked by: placement_cost_test.
class ReplicaShares {
 public:
  /// `traffic` and `domains` outlive it. @param kept  of the spread of rows (row_spread.hpp)
  ReplicaShares(const ReplicaRule& rule,
                const ExpertTraffic& traffic,
                const Domains& domains,
                int num_slots,
                double kept);

  /// Whether a change of one expert's slots changes how others are served: kLeastLoaded.
  [[nodiscard]] bool is_joint() const { return choice_ == ReplicaChoice::kLeastLoaded; }
  /// @param slots_of  by expert, ascending
  [[nodiscard]] std::vector<ReplicaTurns> turns_under(
      std::span<const std::vector<std::size_t>> slots_of) const {
    return least_loaded_turns(traffic_, slots_of, slots_per_rank_);
  }
  /// Experts whose turns are others than those taken, ascending.
  [[nodiscard]] std::vector<std::size_t> differing(std::span<const ReplicaTurns> turns) const;
  /// From now on serves by these.
  void take(std::vector<ReplicaTurns> turns, std::span<const std::vector<std::size_t>> slots_of);

  /// @param slots  of the expert, ascending
  [[nodiscard]] ServedExpert serve(std::size_t expert, std::vector<std::size_t> slots);

 private:
  /// What replicas that take turns get.
  struct Even {
    ReplicaSplit split;
    TurnTokens tokens;
  };
  const Even& even(std::size_t expert, std::size_t replicas);
  [[nodiscard]] ReplicaSplit smoothed(std::size_t expert, ReplicaSplit split) const;

  ReplicaChoice choice_;
  const ExpertTraffic& traffic_;
  const Domains& domains_;
  std::size_t slots_per_rank_;
  double kept_;
  std::vector<std::size_t> peak_step_;                          ///< by expert
  std::vector<ReplicaTurns> turns_;                             ///< kLeastLoaded: by expert
  std::vector<ReplicaSplit> splits_;                            ///< of turns_
  std::vector<std::int64_t> limits_;                            ///< kCapacityLimited: by step
  std::vector<std::vector<std::unique_ptr<const Even>>> even_;  ///< [expert][replicas - 1]
};

}  // namespace moesim
