// SPDX-License-Identifier: Apache-2.0
// The rows of the slots of one step, whatever the placement: what a bound knows of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "sim/study/expert_traffic.hpp"
#include "sim/study/fitting_slots.hpp"

namespace moesim {

/// What the rows of a slot cost: for every slot with rows `slot`, and the cheapest of the tiles.
struct PiecePrices {
  std::vector<double> tile;  ///< by height of the tile; infinite: none of these
  double slot = 0.0;
};

/// How the rows of an expert may come.
enum class RowSharing {
  kEven,  ///< its slots take turns, as ReplicaChoice::kEven; also where every expert has one slot
  kAny,
};

/// What all slots of one step cost at least, over every placement of `slots` slots:
///
///   kEven  min over numbers of slots c[e], sum of c = slots, of
///          sum over e and its c[e] slots of (slot + min over t of tile[t] ceil(rows / t))
///   kAny   sum over e with rows of (slot + the cheapest tiles, of any heights, that hold its rows)
///
/// exactly for kEven (dynamic programming over experts and spare slots).
/// Checked by: placement_bound_test (no placement is faster), wave_bound_test (worked).
class SlotPieces {
 public:
  /// @param tile_rows  heights, falling
  SlotPieces(const ExpertTraffic& traffic,
             int step,
             int slots,
             RowSharing sharing,
             std::vector<std::int64_t> tile_rows);

  [[nodiscard]] double least(const PiecePrices& prices) const;
  /// Whether slots with these prices surely do not go into ranks of room 1 each. kEven looks beyond
  /// their sum, at numbers of slots c one by one (fitting_slots.hpp), where experts * (spare slots
  /// + 1) are 2,000 at most.
  [[nodiscard]] bool overfill(int ranks, const PiecePrices& prices) const;
  [[nodiscard]] std::int64_t rows() const { return all_; }
  /// Experts with rows.
  [[nodiscard]] std::int64_t active() const { return active_; }

 private:
  /// Slots of one expert that have as many rows.
  struct Alike {
    std::int64_t rows = 0;
    int slots = 0;
  };
  [[nodiscard]] double price(std::int64_t rows, const PiecePrices& prices) const;
  /// By expert and its slots - 1.
  [[nodiscard]] std::vector<std::vector<double>> costs_of_experts(const PiecePrices& prices) const;
  [[nodiscard]] SlotChoices choices(const PiecePrices& prices) const;
  [[nodiscard]] double least_any(const PiecePrices& prices) const;

  std::vector<std::int64_t> tile_rows_;
  RowSharing sharing_;
  std::size_t spare_ = 0;
  std::int64_t all_ = 0;
  std::int64_t active_ = 0;
  std::vector<std::int64_t> loads_;                        ///< by expert
  std::vector<std::vector<std::vector<Alike>>> by_slots_;  ///< kEven: [expert][its slots - 1]
};

/// Rows of each of `replicas` slots that take turns: the n-th of source s to (s + n) mod replicas.
/// Checked by: wave_bound_test (as even_split).
[[nodiscard]] std::vector<std::int64_t> even_rows(std::span<const std::int32_t> by_source,
                                                  std::size_t replicas);

}  // namespace moesim
