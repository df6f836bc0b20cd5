// SPDX-License-Identifier: Apache-2.0
// Times of many loads of the same experts: what their rows do not change is worked out once. What a
// load costs, and why, stands in expert_cost.hpp.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "sim/core/units.hpp"
#include "sim/moe/expert_cost.hpp"
#include "sim/moe/gemm_parts.hpp"

namespace moesim {

/// What grouped GEMMs ask of the rows of their groups.
struct GroupRows {
  std::int64_t all = 0;
  std::int64_t groups = 0;  ///< with rows
  TileHeights tiles{};      ///< by height: sum over groups of ceil(rows / height)
};

[[nodiscard]] GroupRows count_rows(const TileHeights& heights, std::span<const std::int64_t> rows);

/// grouped_gemm_time of one shape.
class GroupedGemm {
 public:
  /// Throws UserError where the GPU has no rate for such weights.
  GroupedGemm(const ComputeModel& compute, GemmShape shape);
  /// @param rows  counted by the tile_heights of the same constants
  [[nodiscard]] Seconds time(const GroupRows& rows) const;

 private:
  [[nodiscard]] Seconds arithmetic(const GroupRows& rows) const;

  GemmShape shape_;
  std::array<TileOption, kTileOptions> tiles_;
  Seconds full_tile_;
  std::int64_t sms_;
  MemoryKernel memory_;
  double overlap_;
};

/// The two GEMMs of an FFN over groups and the activation between them, one after the other.
class GroupedFfn {
 public:
  GroupedFfn(const ComputeModel& compute, const ModelShape& model, std::int64_t width);
  [[nodiscard]] Seconds time(std::span<const std::int64_t> rows) const;

 private:
  TileHeights heights_;
  std::array<GemmShape, 2> shapes_;
  std::array<GroupedGemm, 2> gemms_;
  MemoryKernel memory_;
};

/// expert_time of one model on one GPU.
class ExpertTimer {
 public:
  ExpertTimer(const ComputeModel& compute, const ModelShape& model);
  [[nodiscard]] Seconds time(std::span<const std::int64_t> slot_tokens) const;

 private:
  GroupedFfn ffn_;
  MemoryKernel memory_;
  Bytes gathered_;  ///< a row; 0: no gather
  Seconds floor_;
};

}  // namespace moesim
