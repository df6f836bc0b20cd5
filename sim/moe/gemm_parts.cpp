// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/gemm_parts.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "sim/core/check.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/core/portable_math.hpp"

namespace moesim {
namespace {

constexpr double kFlopsPerMultiplyAdd = 2.0;

std::int64_t blocks(std::int64_t length, std::int64_t block) {
  return (length + block - 1) / block;
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

}  // namespace

TileHeights tile_heights(const CostConstants& constants) {
  const std::int64_t rows = constants.tile_rows;
  return {rows, blocks(rows, 2), blocks(rows, 4), blocks(rows, 8)};
}

std::array<TileOption, kTileOptions> tile_options(const CostConstants& constants,
                                                  std::int64_t columns) {
  const std::int64_t full_rows = constants.tile_rows;
  const std::int64_t full_columns = constants.tile_columns;
  const auto ratio = [](std::int64_t a, std::int64_t b) {
    return static_cast<double>(a) / static_cast<double>(b);
  };
  const double fetch_share = constants.tile_fetch_share;
  std::array<TileOption, kTileOptions> options;
  std::size_t next = 0;
  for (const std::int64_t r : tile_heights(constants)) {
    for (const std::int64_t column_part : {1, 2, 4}) {
      const std::int64_t c = blocks(full_columns, column_part);
      // Multiplying goes with r c, fetching operands with r + c.
      const double relative = (1 - fetch_share) * ratio(r * c, full_rows * full_columns) +
                              fetch_share * ratio(r + c, full_rows + full_columns);
      options[next++] = {.rows = r, .column_blocks = blocks(columns, c), .relative = relative};
    }
  }
  return options;
}

Seconds full_tile_time(const ComputeModel& compute, GemmShape shape) {
  const CostConstants& c = compute.constants;
  const FlopsPerSecond rate_per_sm =
      peak_rate(compute.gpu, shape.weights) * c.gemm_efficiency / compute.gpu.sms;
  return flops(static_cast<double>(c.tile_rows) * static_cast<double>(c.tile_columns) *
               static_cast<double>(shape.inner) * kFlopsPerMultiplyAdd) /
         rate_per_sm;
}

Dtype activation_dtype(Dtype weights) {
  return weights == Dtype::kFp8 ? Dtype::kFp8 : Dtype::kBf16;
}

Bytes rows_bytes(double rows, std::int64_t width, Dtype dtype) {
  return bytes(rows * static_cast<double>(activation_row_bytes(width, dtype)));
}

Bytes gemm_bytes(double groups, double rows, GemmShape shape) {
  const Bytes weights =
      bytes(groups * static_cast<double>(shape.columns) * static_cast<double>(shape.inner) *
            stored_bytes_per_weight(shape.weights));
  return weights + rows_bytes(rows, shape.inner, activation_dtype(shape.weights)) +
         rows_bytes(rows, shape.columns, Dtype::kBf16);
}

BytesPerSecond memory_rate(const ComputeModel& compute) {
  return compute.gpu.memory_bandwidth * compute.constants.memory_efficiency;
}

Seconds memory_time(const ComputeModel& compute, Bytes moved) {
  return moved / memory_rate(compute);
}

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

std::array<GemmShape, 2> ffn_gemms(const ModelShape& model, std::int64_t width) {
  return {GemmShape{.columns = (model.expert_gated ? 2 : 1) * width,
                    .inner = model.hidden_size,
                    .weights = model.weight_dtype},
          GemmShape{.columns = model.hidden_size, .inner = width, .weights = model.weight_dtype}};
}

std::array<GemmShape, 2> expert_gemms(const ModelShape& model) {
  return ffn_gemms(model, model.expert_width);
}

Bytes swiglu_bytes(double rows, std::int64_t columns, std::int64_t width, Dtype weights) {
  return rows_bytes(rows, columns, Dtype::kBf16) +
         rows_bytes(rows, width, activation_dtype(weights));
}

Bytes gather_bytes(double rows, const ModelShape& model) {
  return rows_bytes(rows, model.hidden_size, model.dispatch_dtype) +
         rows_bytes(rows, model.hidden_size, activation_dtype(model.weight_dtype));
}

}  // namespace moesim
