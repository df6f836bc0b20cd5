// SPDX-License-Identifier: Apache-2.0
// What the cost of a grouped GEMM is made of; for expert_cost and least_expert_time alone.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "sim/core/units.hpp"
#include "sim/moe/expert_cost.hpp"
#include "sim/moe/model.hpp"

namespace moesim {

/// Columns and inner length of one grouped GEMM.
struct GemmShape {
  std::int64_t columns = 0;
  std::int64_t inner = 0;
  Dtype weights = Dtype::kBf16;
};

/// One tile shape that a GEMM may take.
struct TileOption {
  std::int64_t rows = 0;
  std::int64_t column_blocks = 0;  ///< tiles side by side over the columns
  double relative = 0.0;           ///< time of a tile over the full one's
};

inline constexpr std::size_t kTileHeights = 4;
inline constexpr std::size_t kTileWidths = 3;
inline constexpr std::size_t kTileOptions = kTileHeights * kTileWidths;
using TileHeights = std::array<std::int64_t, kTileHeights>;

/// Rows of a tile, falling: R, R/2, R/4, R/8.
[[nodiscard]] TileHeights tile_heights(const CostConstants& constants);
/// By tile_heights, then columns: C, C/2, C/4.
[[nodiscard]] std::array<TileOption, kTileOptions> tile_options(const CostConstants& constants,
                                                                std::int64_t columns);
/// Of one full tile on one multiprocessor. Throws UserError where the GPU has no such rate.
[[nodiscard]] Seconds full_tile_time(const ComputeModel& compute, GemmShape shape);
/// Weights of `groups` groups, and rows read and written.
[[nodiscard]] Bytes gemm_bytes(double groups, double rows, GemmShape shape);
[[nodiscard]] BytesPerSecond memory_rate(const ComputeModel& compute);
[[nodiscard]] Seconds memory_time(const ComputeModel& compute, Bytes moved);
/// A kernel that the memory binds.
struct MemoryKernel {
  BytesPerSecond rate;
  Seconds launch;

  explicit MemoryKernel(const ComputeModel& compute)
      : rate(memory_rate(compute)), launch(compute.constants.kernel_launch) {}
  [[nodiscard]] Seconds time(Bytes moved) const { return moved / rate + launch; }
};
/// (a^p + b^p)^(1/p) with p = 1 / (1 - overlap): a norm, so never more than the mean of those of
/// parts whose means are a and b.
[[nodiscard]] Seconds overlapped(Seconds a, Seconds b, double overlap);

/// Of the rows that enter a GEMM with such weights.
[[nodiscard]] Dtype activation_dtype(Dtype weights);
[[nodiscard]] Bytes rows_bytes(double rows, std::int64_t width, Dtype dtype);
/// Of an FFN of the experts' kind: gate and up (up alone without a gate), down.
[[nodiscard]] std::array<GemmShape, 2> ffn_gemms(const ModelShape& model, std::int64_t width);
/// Of the routed experts.
[[nodiscard]] std::array<GemmShape, 2> expert_gemms(const ModelShape& model);
/// What the activation between them moves.
[[nodiscard]] Bytes swiglu_bytes(double rows,
                                 std::int64_t columns,
                                 std::int64_t width,
                                 Dtype weights);
/// What bringing the rows into the experts' order moves.
[[nodiscard]] Bytes gather_bytes(double rows, const ModelShape& model);

}  // namespace moesim
