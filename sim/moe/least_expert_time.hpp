// SPDX-License-Identifier: Apache-2.0
// The least time that experts take, however their rows are shared among ranks: what bounds are made
// from.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sim/moe/expert_cost.hpp"

namespace moesim {

/// Where rows may go: ranks alike, each with so many slots.
struct SlotRoom {
  int ranks = 1;
  int slots_per_rank = 1;
};

/// A lower bound on the mean over ranks of expert_time, for every placement and every way to share
/// the rows of an expert among slots. With n experts that have rows, N rows in all, b ranks:
///
///   kernels = sum over GEMMs of |(compute, memory)|_p + the activation's and the gather's bytes
///   compute = sum over experts of cover(rows) / b
///   cover(rows) = the cheapest tiles, of any sizes, that hold the rows; a tile costs
///                 column_blocks / sms * share * full  (grouped_gemm_time), the best of its columns
///   memory  = (weights of n groups + bytes of N rows) / b / usable memory bandwidth
///   launches = kernels' starts * ceil(n / slots_per_rank) / b: as many ranks have rows at least
///   bound   = max(kernels + launches, expert_floor * ceil(n / slots_per_rank) / b)
///
/// A row lies in one tile of its rank's shape, whole waves take no less than parts of them, every
/// expert with rows has a slot with rows, and a norm of means is at most the mean of norms.
/// Valid for: what expert_time is. Checked by: least_expert_time_test (no sharing of rows takes
/// less; even loads that fill tiles and waves take as much).
class LeastExpertTime {
 public:
  /// @param most_rows  of an expert
  LeastExpertTime(const ComputeModel& compute, const ModelShape& model, std::int64_t most_rows);

  /// @param rows  by expert, each at most most_rows
  [[nodiscard]] Seconds mean(std::span<const std::int64_t> rows, SlotRoom room) const;

 private:
  /// Of each GEMM: the cheapest tiles for i units of rows.
  struct Cover {
    std::int64_t unit = 1;
    std::vector<double> seconds;
  };
  [[nodiscard]] Cover cover(std::int64_t columns, Seconds full_tile) const;

  ComputeModel compute_;
  ModelShape model_;
  std::int64_t most_rows_;
  std::vector<Cover> covers_;
};

}  // namespace moesim
