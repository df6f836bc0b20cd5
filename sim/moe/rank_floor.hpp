// SPDX-License-Identifier: Apache-2.0
// The least time of the experts of one rank that has so many tiles: what bounds are made from.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "sim/moe/expert_cost.hpp"
#include "sim/moe/gemm_parts.hpp"

namespace moesim {

/// What is known of the rows of a rank.
struct RankFill {
  std::size_t size = 0;     ///< of its tiles, in RankFloor::tile_rows
  std::int64_t tiles = 0;   ///< sum over slots of ceil(rows / tile_rows[size])
  std::int64_t active = 0;  ///< slots with rows, 1 to tiles
};

/// A lower bound on expert_time of a rank whose two GEMMs take tiles of t rows and of t or fewer:
///
///   rows    >= t (tiles - active) + active
///   tiles'  >= floor(t / t') (tiles - active) + active, of t' rows in the other GEMM
///   GEMM    = |(waves, memory)|_p + launch, the best columns: waves are whole, as the rank pays
///   them bound   = the cheaper of the two GEMMs having t, with the other's best t' <= t
///
/// since a slot of a tiles holds t (a - 1) + 1 rows or more. No less with more tiles of as many
/// slots. Valid for: what expert_time is. Checked by: wave_bound_test (no rows
/// of a rank take less; full tiles take as much).
class RankFloor {
 public:
  RankFloor(const ComputeModel& compute, const ModelShape& model);

  /// Heights that a tile may have, falling.
  [[nodiscard]] const std::vector<std::int64_t>& tile_rows() const { return tile_rows_; }
  [[nodiscard]] std::int64_t least_rows(const RankFill& fill) const;
  [[nodiscard]] Seconds least(const RankFill& fill) const;

 private:
  /// Of one GEMM and one height: what its tiles may be.
  using Options = std::vector<TileOption>;
  [[nodiscard]] Seconds gemm(std::size_t g,
                             std::size_t size,
                             const RankFill& fill,
                             std::int64_t rows) const;
  [[nodiscard]] Seconds finest(std::size_t g, const RankFill& fill, std::int64_t rows) const;

  ComputeModel compute_;
  ModelShape model_;
  std::array<GemmShape, 2> gemms_;
  std::array<Seconds, 2> full_tile_;
  std::vector<std::int64_t> tile_rows_;
  std::array<std::vector<Options>, 2> options_;  ///< [gemm][height]
};

}  // namespace moesim
