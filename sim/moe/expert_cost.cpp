// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/expert_cost.hpp"

#include <algorithm>
#include <numeric>

#include "sim/core/check.hpp"
#include "sim/moe/gemm_parts.hpp"

namespace moesim {
namespace {

constexpr std::int64_t kGateBytesPerChoice = 8;  // 4 B expert id + 4 B gate weight

void check_constants(const ComputeModel& compute) {
  const CostConstants& c = compute.constants;
  MOESIM_CHECK(c.gemm_efficiency > 0 && c.gemm_efficiency <= 1, "an efficiency lies in (0, 1]");
  MOESIM_CHECK(c.memory_efficiency > 0 && c.memory_efficiency <= 1, "an efficiency lies in (0, 1]");
  MOESIM_CHECK(c.gemm_overlap >= 0 && c.gemm_overlap <= 1, "an overlap lies in [0, 1]");
  MOESIM_CHECK(c.tile_rows > 0 && c.tile_columns > 0, "a tile has rows and columns");
  MOESIM_CHECK(compute.gpu.sms > 0, "a GPU has multiprocessors");
  MOESIM_CHECK(compute.gpu.memory_bandwidth.value > 0, "a GPU has memory bandwidth");
}

Seconds memory_kernel_time(const ComputeModel& compute, Bytes moved) {
  return memory_time(compute, moved) + compute.constants.kernel_launch;
}

Seconds compute_time(const ComputeModel& compute,
                     std::span<const std::int64_t> rows,
                     GemmShape shape) {
  const Seconds full_tile = full_tile_time(compute, shape);
  Seconds best{};
  std::int64_t tile_rows = 0;
  std::int64_t row_tiles = 0;
  for (const TileOption& tile : tile_options(compute.constants, shape.columns)) {
    if (tile.rows != tile_rows) {
      tile_rows = tile.rows;
      row_tiles = 0;
      for (const std::int64_t group_rows : rows) {
        row_tiles += (group_rows + tile_rows - 1) / tile_rows;
      }
    }
    const std::int64_t tiles = row_tiles * tile.column_blocks;
    const auto waves = static_cast<double>((tiles + compute.gpu.sms - 1) / compute.gpu.sms);
    const Seconds time = waves * tile.relative * full_tile;
    best = best.value > 0 ? std::min(best, time) : time;
  }
  return best;
}

/// gate+up GEMM (up alone without a gate), activation, down GEMM.
Seconds ffn_time(const ComputeModel& compute,
                 const ModelShape& model,
                 std::span<const std::int64_t> rows,
                 std::int64_t width) {
  const std::int64_t all_rows = std::accumulate(rows.begin(), rows.end(), std::int64_t{0});
  const std::int64_t columns = (model.expert_gated ? 2 : 1) * width;
  const Bytes swiglu =
      swiglu_bytes(static_cast<double>(all_rows), columns, width, model.weight_dtype);
  return grouped_gemm_time(compute, rows, columns, model.hidden_size, model.weight_dtype) +
         memory_kernel_time(compute, swiglu) +
         grouped_gemm_time(compute, rows, model.hidden_size, width, model.weight_dtype);
}

}  // namespace

std::string_view to_text(Evidence evidence) {
  switch (evidence) {
    case Evidence::kMeasured:
      return "measured";
    case Evidence::kInterpolated:
      return "interpolated";
    case Evidence::kExtrapolated:
      return "extrapolated";
    case Evidence::kAssumed:
      return "assumed";
  }
  MOESIM_CHECK(false, "unknown evidence");
}

Seconds grouped_gemm_time(const ComputeModel& compute,
                          std::span<const std::int64_t> rows,
                          std::int64_t columns,
                          std::int64_t inner,
                          Dtype weight_dtype) {
  check_constants(compute);
  MOESIM_CHECK(columns > 0 && inner > 0, "a GEMM has columns and an inner length");
  MOESIM_CHECK(std::all_of(rows.begin(), rows.end(), [](std::int64_t n) { return n >= 0; }),
               "a group has no negative number of rows");
  if (std::all_of(rows.begin(), rows.end(), [](std::int64_t n) { return n == 0; })) {
    return {};
  }
  const GemmShape shape{.columns = columns, .inner = inner, .weights = weight_dtype};
  const Seconds arithmetic = compute_time(compute, rows, shape);
  const auto groups = std::count_if(rows.begin(), rows.end(), [](std::int64_t n) { return n > 0; });
  const std::int64_t all_rows = std::accumulate(rows.begin(), rows.end(), std::int64_t{0});
  const Seconds memory = memory_time(
      compute, gemm_bytes(static_cast<double>(groups), static_cast<double>(all_rows), shape));
  return overlapped(arithmetic, memory, compute.constants.gemm_overlap) +
         compute.constants.kernel_launch;
}

Seconds expert_time(const ComputeModel& compute,
                    const ModelShape& model,
                    std::span<const std::int64_t> slot_tokens) {
  const std::int64_t rows =
      std::accumulate(slot_tokens.begin(), slot_tokens.end(), std::int64_t{0});
  if (rows == 0) {
    return {};
  }
  Seconds kernels = ffn_time(compute, model, slot_tokens, model.expert_width);
  if (compute.constants.expert_gather) {
    kernels = kernels + memory_kernel_time(compute, gather_bytes(static_cast<double>(rows), model));
  }
  return std::max(kernels, compute.constants.expert_floor);
}

Seconds shared_expert_time(const ComputeModel& compute,
                           const ModelShape& model,
                           std::int64_t tokens) {
  if (tokens == 0 || model.shared_experts == 0) {
    return {};
  }
  const std::int64_t width = std::int64_t{model.shared_experts} * model.shared_expert_width;
  return ffn_time(compute, model, std::span(&tokens, 1), width);
}

Seconds gate_time(const ComputeModel& compute, const ModelShape& model, std::int64_t tokens) {
  if (tokens == 0) {
    return {};
  }
  const Bytes choice =
      rows_bytes(static_cast<double>(tokens), model.num_experts, Dtype::kBf16) +
      bytes(static_cast<double>(tokens) * static_cast<double>(model.top_k * kGateBytesPerChoice));
  return grouped_gemm_time(
             compute, std::span(&tokens, 1), model.num_experts, model.hidden_size, Dtype::kBf16) +
         memory_kernel_time(compute, choice);
}

Seconds combine_reduce_time(const ComputeModel& compute,
                            const ModelShape& model,
                            std::int64_t copies,
                            std::int64_t tokens) {
  MOESIM_CHECK(copies >= 0 && tokens >= 0, "no negative number of rows");
  if (tokens == 0) {
    return {};
  }
  return memory_kernel_time(
      compute,
      rows_bytes(static_cast<double>(copies), model.hidden_size, model.combine_dtype) +
          rows_bytes(static_cast<double>(tokens), model.hidden_size, Dtype::kBf16));
}

}  // namespace moesim
