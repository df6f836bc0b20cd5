// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/expert_timer.hpp"

#include <algorithm>
#include <cstddef>
#include <numeric>

#include "sim/core/check.hpp"

namespace moesim {
namespace {

GemmShape checked(const ComputeModel& compute, GemmShape shape) {
  const CostConstants& c = compute.constants;
  MOESIM_CHECK(c.gemm_efficiency > 0 && c.gemm_efficiency <= 1, "an efficiency lies in (0, 1]");
  MOESIM_CHECK(c.memory_efficiency > 0 && c.memory_efficiency <= 1, "an efficiency lies in (0, 1]");
  MOESIM_CHECK(c.gemm_overlap >= 0 && c.gemm_overlap <= 1, "an overlap lies in [0, 1]");
  MOESIM_CHECK(c.tile_rows > 0 && c.tile_columns > 0, "a tile has rows and columns");
  MOESIM_CHECK(compute.gpu.sms > 0, "a GPU has multiprocessors");
  MOESIM_CHECK(compute.gpu.memory_bandwidth.value > 0, "a GPU has memory bandwidth");
  MOESIM_CHECK(shape.columns > 0 && shape.inner > 0, "a GEMM has columns and an inner length");
  return shape;
}

}  // namespace

GroupRows count_rows(const TileHeights& heights, std::span<const std::int64_t> rows) {
  GroupRows counted;
  for (const std::int64_t n : rows) {
    MOESIM_CHECK(n >= 0, "a group has no negative number of rows");
    counted.all += n;
    counted.groups += n > 0 ? 1 : 0;
    for (std::size_t i = 0; i < heights.size(); ++i) {
      counted.tiles[i] += (n + heights[i] - 1) / heights[i];
    }
  }
  return counted;
}

GroupedGemm::GroupedGemm(const ComputeModel& compute, GemmShape shape)
    : shape_(checked(compute, shape)),
      tiles_(tile_options(compute.constants, shape.columns)),
      full_tile_(full_tile_time(compute, shape)),
      sms_(compute.gpu.sms),
      memory_(compute),
      overlap_(compute.constants.gemm_overlap) {}

Seconds GroupedGemm::arithmetic(const GroupRows& rows) const {
  Seconds best{};
  for (std::size_t i = 0; i < tiles_.size(); ++i) {
    const std::int64_t tiles = rows.tiles[i / kTileWidths] * tiles_[i].column_blocks;
    const auto waves = static_cast<double>((tiles + sms_ - 1) / sms_);
    const Seconds time = waves * tiles_[i].relative * full_tile_;
    best = best.value > 0 ? std::min(best, time) : time;
  }
  return best;
}

Seconds GroupedGemm::time(const GroupRows& rows) const {
  const Bytes moved =
      gemm_bytes(static_cast<double>(rows.groups), static_cast<double>(rows.all), shape_);
  return overlapped(arithmetic(rows), moved / memory_.rate, overlap_) + memory_.launch;
}

GroupedFfn::GroupedFfn(const ComputeModel& compute, const ModelShape& model, std::int64_t width)
    : heights_(tile_heights(compute.constants)),
      shapes_(ffn_gemms(model, width)),
      gemms_{GroupedGemm(compute, shapes_[0]), GroupedGemm(compute, shapes_[1])},
      memory_(compute) {}

Seconds GroupedFfn::time(std::span<const std::int64_t> rows) const {
  const GroupRows counted = count_rows(heights_, rows);
  const auto& [up, down] = shapes_;
  const Bytes activated =
      swiglu_bytes(static_cast<double>(counted.all), up.columns, down.inner, up.weights);
  return gemms_[0].time(counted) + memory_.time(activated) + gemms_[1].time(counted);
}

ExpertTimer::ExpertTimer(const ComputeModel& compute, const ModelShape& model)
    : ffn_(compute, model, model.expert_width),
      memory_(compute),
      gathered_(compute.constants.expert_gather ? gather_bytes(1.0, model) : Bytes{}),
      floor_(compute.constants.expert_floor) {}

Seconds ExpertTimer::time(std::span<const std::int64_t> slot_tokens) const {
  const std::int64_t rows =
      std::accumulate(slot_tokens.begin(), slot_tokens.end(), std::int64_t{0});
  if (rows == 0) {
    return {};
  }
  Seconds kernels = ffn_.time(slot_tokens);
  if (gathered_.value > 0) {
    kernels = kernels + memory_.time(static_cast<double>(rows) * gathered_);
  }
  return std::max(kernels, floor_);
}

}  // namespace moesim
