// SPDX-License-Identifier: Apache-2.0
// The least time of the slowest rank, and of ranks in the mean, when tiles and waves are whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "sim/moe/rank_floor.hpp"
#include "sim/study/slot_pieces.hpp"

namespace moesim {

/// What a rank spends on the rows that it gets from others, at least: with N rows
///   own    <= min(own, own_part * (N + own_rounding) + own_slots), of its own tokens
///   copies >= max((N - own) / shared_by, N - own - shared_pairs)
struct ArrivalTime {
  double per_copy = 0.0;  ///< dispatch and combine
  double own = 0.0;
  double own_part = 1.0;
  double own_rounding = 0.0;
  double own_slots = 0.0;
  double shared_by = 1.0;     ///< most rows that one copy serves
  double shared_pairs = 0.0;  ///< rows beyond the first of a copy, at most

  [[nodiscard]] double least(std::int64_t rows) const;
};

/// Ranks alike.
struct RankRoom {
  int ranks = 1;
  int slots_per_rank = 1;
  double speed = 1.0;  ///< of the fastest
};

/// Bounds from the rows of one step, for any placement and every way of sharing that `pieces`
/// knows. A rank's state is (height t of its coarser tiles, n tiles, m slots with rows); by
/// rank_floor.hpp it takes at least f(t, n, m) + its arrivals.
///
/// slowest  No T is enough when, for some prices q[t] of a tile and s of a slot that no state with
///            f <= T exceeds, q[t] n + s m <= 1, all slots surely go into no so many ranks
///            (SlotPieces::overfill). s is 0, 1/2 and 1 of what the most slots within T allow. The
///            result is the largest such T of a grid of steps of 0.05 %.
/// mean     b[t] n + s m <= f - a in every state, a >= 0: the mean over ranks of the experts' time
///            is at least (a * ranks with rows + SlotPieces::least(b, s)) / ranks, the best of some
///            a, s.
/// Source: linear programming duality; whole waves as expert_cost.hpp.
/// Checked by: placement_bound_test (no placement of small cases is faster), wave_bound_test
/// (worked).
class WaveBound {
 public:
  /// @param most_rows  of a step, all ranks
  WaveBound(const RankFloor& floor, RankRoom room, std::int64_t most_rows);

  /// Seconds of the slowest rank, experts and arrivals.
  [[nodiscard]] double slowest(const SlotPieces& pieces, const ArrivalTime& arrivals) const;
  /// Seconds of the experts of a rank, mean over ranks.
  [[nodiscard]] double mean(const SlotPieces& pieces) const;

 private:
  /// Least times of states: of a height and so many active slots, by ascending numbers of tiles.
  struct States {
    std::int64_t active = 0;
    std::vector<double> seconds;  ///< fewer tiles than slots: as many as slots
  };
  [[nodiscard]] double time_of(std::size_t size, std::int64_t tiles, std::int64_t active) const;
  [[nodiscard]] std::int64_t most_tiles(std::size_t size,
                                        std::int64_t active,
                                        double time,
                                        const ArrivalTime& arrivals) const;
  [[nodiscard]] PiecePrices shares_of_rank(const std::vector<std::vector<std::int64_t>>& most,
                                           double slot) const;
  [[nodiscard]] bool is_enough(double time,
                               const SlotPieces& pieces,
                               const ArrivalTime& arrivals) const;
  [[nodiscard]] PiecePrices line(double start, double slot_part) const;

  const RankFloor& floor_;
  RankRoom room_;
  std::vector<std::vector<std::int64_t>> tiles_;  ///< [height] numbers looked at, ascending
  std::vector<std::vector<States>> states_;       ///< [height][active - 1]
};

}  // namespace moesim
