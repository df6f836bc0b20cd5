// SPDX-License-Identifier: Apache-2.0
// What ranks get from others, at least, whatever the placement: what bounds are made from.
#pragma once

#include <cstddef>
#include <vector>

#include "sim/step/step.hpp"
#include "sim/study/expert_traffic.hpp"
#include "sim/study/pair_bound.hpp"
#include "sim/study/slot_pieces.hpp"
#include "sim/study/wave_bound.hpp"

namespace moesim {

/// kEven where slots take turns or every expert has one.
[[nodiscard]] RowSharing row_sharing(const StepModel& model, int slots);

/// Of one layer in a window, for placements of `slots` slots.
///
///   own    of a rank and step <= the largest sum of a source's assignments to as many experts as a
///          rank has slots; where slots take turns, also: of c slots each serves ceil(n / c) of a
///          source's n assignments at most, so own <= p (rows + slots of a rank * ranks) + slots of
///          a rank, p = the largest part of an expert's assignments that a source has
///   shared assignments beyond the first of a token on a rank (largest_pairs, most_shared)
/// Checked by: placement_bound_test.
class RankArrivals {
 public:
  /// `model` and `traffic` outlive it.
  RankArrivals(const StepModel& model,
               TrafficWindow window,
               int layer,
               int slots,
               const ExpertTraffic& traffic);

  /// Of the slowest rank of a step. @param per_copy  seconds
  [[nodiscard]] ArrivalTime of_rank(int step, double per_copy) const;
  /// Copies that arrive at ranks from others, all ranks and steps.
  [[nodiscard]] double least_copies() const;

 private:
  [[nodiscard]] std::size_t ranks() const { return static_cast<std::size_t>(traffic_.ranks); }
  [[nodiscard]] std::size_t experts() const { return static_cast<std::size_t>(traffic_.experts); }
  [[nodiscard]] double largest_part_of_a_source(int step) const;
  [[nodiscard]] double not_own() const;
  [[nodiscard]] double not_own_in_turn() const;
  [[nodiscard]] double not_own_of_any() const;

  const ExpertTraffic& traffic_;
  RowSharing sharing_;
  std::size_t slots_per_rank_;
  std::size_t spare_;
  std::vector<PairCounts> pairs_;  ///< by step; none where each assignment is a copy
};

}  // namespace moesim
