// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/expert_cost.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "sim/core/check.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/core/portable_math.hpp"

namespace moesim {
namespace {

constexpr double kFlopsPerMultiplyAdd = 2.0;
constexpr std::int64_t kGateBytesPerChoice = 8;  // 4 B expert id + 4 B gate weight

struct Tile {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
};

/// Columns and inner length of one grouped GEMM.
struct GemmShape {
  std::int64_t columns = 0;
  std::int64_t inner = 0;
  Dtype weights = Dtype::kBf16;
};

std::int64_t blocks(std::int64_t length, std::int64_t block) {
  return (length + block - 1) / block;
}

void check_constants(const ComputeModel& compute) {
  const CostConstants& c = compute.constants;
  MOESIM_CHECK(c.gemm_efficiency > 0 && c.gemm_efficiency <= 1, "an efficiency lies in (0, 1]");
  MOESIM_CHECK(c.memory_efficiency > 0 && c.memory_efficiency <= 1, "an efficiency lies in (0, 1]");
  MOESIM_CHECK(c.gemm_overlap >= 0 && c.gemm_overlap <= 1, "an overlap lies in [0, 1]");
  MOESIM_CHECK(c.tile_rows > 0 && c.tile_columns > 0, "a tile has rows and columns");
  MOESIM_CHECK(compute.gpu.sms > 0, "a GPU has multiprocessors");
  MOESIM_CHECK(compute.gpu.memory_bandwidth.value > 0, "a GPU has memory bandwidth");
}

FlopsPerSecond peak_rate(const GpuSpec& gpu, Dtype weights) {
  MOESIM_CHECK(weights != Dtype::kFp32, "no GEMM runs on fp32 weights");
  const bool fp8 = weights == Dtype::kFp8;
  const FlopsPerSecond rate = fp8 ? gpu.fp8_rate : gpu.bf16_rate;
  if (rate.value <= 0) {
    throw UserError(fmt::format("{} weights need a positive cluster.gpu.{} of GPU \"{}\"",
                                fp8 ? "fp8" : "bf16 or mxfp4",
                                fp8 ? "fp8_rate" : "bf16_rate",
                                gpu.name));
  }
  return rate;
}

/// Of the rows that enter a GEMM with such weights.
Dtype activation_dtype(Dtype weights) {
  return weights == Dtype::kFp8 ? Dtype::kFp8 : Dtype::kBf16;
}

Bytes rows_bytes(std::int64_t rows, std::int64_t width, Dtype dtype) {
  return bytes(static_cast<double>(rows) * static_cast<double>(activation_row_bytes(width, dtype)));
}

Seconds memory_time(const ComputeModel& compute, Bytes moved) {
  return moved / (compute.gpu.memory_bandwidth * compute.constants.memory_efficiency);
}

Seconds memory_kernel_time(const ComputeModel& compute, Bytes moved) {
  return memory_time(compute, moved) + compute.constants.kernel_launch;
}

/// Time of a tile over the full one's: multiplying goes with r c, fetching operands with r + c.
double relative_time(Tile tile, Tile full, double fetch_share) {
  const auto ratio = [](std::int64_t a, std::int64_t b) {
    return static_cast<double>(a) / static_cast<double>(b);
  };
  return (1 - fetch_share) * ratio(tile.rows * tile.columns, full.rows * full.columns) +
         fetch_share * ratio(tile.rows + tile.columns, full.rows + full.columns);
}

Seconds compute_time(const ComputeModel& compute,
                     std::span<const std::int64_t> rows,
                     GemmShape shape) {
  const CostConstants& c = compute.constants;
  const Tile full{.rows = c.tile_rows, .columns = c.tile_columns};
  const FlopsPerSecond rate_per_sm =
      peak_rate(compute.gpu, shape.weights) * c.gemm_efficiency / compute.gpu.sms;
  const Seconds full_tile =
      flops(static_cast<double>(full.rows) * static_cast<double>(full.columns) *
            static_cast<double>(shape.inner) * kFlopsPerMultiplyAdd) /
      rate_per_sm;
  Seconds best{};
  for (const std::int64_t row_part : {1, 2, 4, 8}) {
    Tile tile{.rows = blocks(full.rows, row_part), .columns = 0};
    std::int64_t row_tiles = 0;
    for (const std::int64_t group_rows : rows) {
      row_tiles += blocks(group_rows, tile.rows);
    }
    for (const std::int64_t column_part : {1, 2, 4}) {
      tile.columns = blocks(full.columns, column_part);
      const std::int64_t tiles = row_tiles * blocks(shape.columns, tile.columns);
      const auto waves = static_cast<double>(blocks(tiles, compute.gpu.sms));
      const Seconds time = waves * relative_time(tile, full, c.tile_fetch_share) * full_tile;
      best = best.value > 0 ? std::min(best, time) : time;
    }
  }
  return best;
}

/// (a^p + b^p)^(1/p) with p = 1 / (1 - overlap), as max * (1 + (min/max)^p)^(1/p).
Seconds overlapped(Seconds a, Seconds b, double overlap) {
  const Seconds longer = std::max(a, b);
  const Seconds shorter = std::min(a, b);
  if (overlap >= 1 || shorter.value <= 0) {
    return longer;
  }
  const double p = 1 / (1 - overlap);
  const double power = p * portable_log(shorter / longer);
  constexpr double kNothing = -700;  // portable_exp's end: beyond it the shorter adds no bit
  return power < kNothing ? longer
                          : longer * portable_exp(portable_log(1 + portable_exp(power)) / p);
}

Bytes gemm_bytes(std::span<const std::int64_t> rows, GemmShape shape) {
  const auto groups = std::count_if(rows.begin(), rows.end(), [](std::int64_t n) { return n > 0; });
  const std::int64_t all_rows = std::accumulate(rows.begin(), rows.end(), std::int64_t{0});
  const Bytes weights =
      bytes(static_cast<double>(groups) * static_cast<double>(shape.columns) *
            static_cast<double>(shape.inner) * stored_bytes_per_weight(shape.weights));
  return weights + rows_bytes(all_rows, shape.inner, activation_dtype(shape.weights)) +
         rows_bytes(all_rows, shape.columns, Dtype::kBf16);
}

/// gate+up GEMM (up alone without a gate), activation, down GEMM.
Seconds ffn_time(const ComputeModel& compute,
                 const ModelShape& model,
                 std::span<const std::int64_t> rows,
                 std::int64_t width) {
  const std::int64_t all_rows = std::accumulate(rows.begin(), rows.end(), std::int64_t{0});
  const std::int64_t columns = (model.expert_gated ? 2 : 1) * width;
  const Bytes swiglu = rows_bytes(all_rows, columns, Dtype::kBf16) +
                       rows_bytes(all_rows, width, activation_dtype(model.weight_dtype));
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
  const Seconds memory = memory_time(compute, gemm_bytes(rows, shape));
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
    kernels = kernels +
              memory_kernel_time(
                  compute,
                  rows_bytes(rows, model.hidden_size, model.dispatch_dtype) +
                      rows_bytes(rows, model.hidden_size, activation_dtype(model.weight_dtype)));
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
      rows_bytes(tokens, model.num_experts, Dtype::kBf16) +
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
  return memory_kernel_time(compute,
                            rows_bytes(copies, model.hidden_size, model.combine_dtype) +
                                rows_bytes(tokens, model.hidden_size, Dtype::kBf16));
}

}  // namespace moesim
