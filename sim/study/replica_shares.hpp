// SPDX-License-Identifier: Apache-2.0
// Where the assignments of an expert go under the replica rule of a model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "sim/study/replica_split.hpp"

namespace moesim {

/// Where the replicas of an expert lie: ranks, or domains.
struct ReplicaRows {
  std::vector<std::size_t> rows;     ///< by replica
  std::vector<std::size_t> nearest;  ///< the replica of each source; empty: they take turns
  ReplicaTurns turns;                ///< the replica of each assignment; empty: in turn

  [[nodiscard]] bool is_fixed() const { return rows.size() == 1 || !nearest.empty(); }
  /// The row of every assignment of a source. @pre is_fixed()
  [[nodiscard]] std::size_t of(std::size_t source) const {
    return rows[nearest.empty() ? 0 : nearest[source]];
  }
  /// The row of one assignment.
  [[nodiscard]] std::size_t of(std::size_t source, const KeptAssignment& kept) const {
    if (is_fixed()) {
      return of(source);
    }
    if (!turns.replica.empty()) {
      return rows[turns.of(source, kept.order)];
    }
    const auto count = static_cast<std::uint32_t>(rows.size());
    const auto turn = static_cast<std::uint32_t>(kept.turn);
    return rows[(static_cast<std::uint32_t>(source) + turn) % count];
  }
};

/// How an expert is served.
struct ServedExpert {
  std::vector<std::size_t> slots;
  ReplicaRows ranks;
  ReplicaSplit own;                    ///< unless it is even
  const ReplicaSplit* even = nullptr;  ///< of ReplicaShares, until the expert is served again

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
  const ReplicaSplit& even(std::size_t expert, std::size_t replicas);
  [[nodiscard]] ReplicaSplit smoothed(ReplicaSplit split) const;

  ReplicaChoice choice_;
  const ExpertTraffic& traffic_;
  const Domains& domains_;
  std::size_t slots_per_rank_;
  double kept_;
  std::vector<ReplicaTurns> turns_;                             ///< kLeastLoaded: by expert
  std::vector<ReplicaSplit> splits_;                            ///< of turns_
  std::vector<std::int64_t> limits_;                            ///< kCapacityLimited: by step
  std::vector<std::vector<std::optional<ReplicaSplit>>> even_;  ///< [expert][replicas - 1]
};

}  // namespace moesim
