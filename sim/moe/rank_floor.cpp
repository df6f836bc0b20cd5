// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/rank_floor.hpp"

#include <algorithm>
#include <limits>

#include "sim/core/check.hpp"

namespace moesim {

RankFloor::RankFloor(const ComputeModel& compute, const ModelShape& model)
    : compute_(compute), model_(model), gemms_(expert_gemms(model)) {
  for (std::size_t g = 0; g < gemms_.size(); ++g) {
    full_tile_[g] = full_tile_time(compute, gemms_[g]);
    tile_rows_.clear();  // the same for both
    for (const TileOption& tile : tile_options(compute.constants, gemms_[g].columns)) {
      if (tile_rows_.empty() || tile.rows < tile_rows_.back()) {
        tile_rows_.push_back(tile.rows);
        options_[g].emplace_back();
      }
      options_[g].back().push_back(tile);
    }
  }
}

std::int64_t RankFloor::least_rows(const RankFill& fill) const {
  return tile_rows_[fill.size] * (fill.tiles - fill.active) + fill.active;
}

Seconds RankFloor::gemm(std::size_t g,
                        std::size_t size,
                        const RankFill& fill,
                        std::int64_t rows) const {
  const std::int64_t smaller = tile_rows_[fill.size] / tile_rows_[size];
  const std::int64_t tiles = smaller * (fill.tiles - fill.active) + fill.active;
  Seconds best = seconds(std::numeric_limits<double>::infinity());
  for (const TileOption& tile : options_[g][size]) {
    const std::int64_t sms = compute_.gpu.sms;
    const auto waves = static_cast<double>((tiles * tile.column_blocks + sms - 1) / sms);
    best = std::min(best, waves * tile.relative * full_tile_[g]);
  }
  const Seconds memory = memory_time(
      compute_, gemm_bytes(static_cast<double>(fill.active), static_cast<double>(rows), gemms_[g]));
  return overlapped(best, memory, compute_.constants.gemm_overlap);
}

Seconds RankFloor::finest(std::size_t g, const RankFill& fill, std::int64_t rows) const {
  Seconds best = gemm(g, fill.size, fill, rows);
  for (std::size_t size = fill.size + 1; size < tile_rows_.size(); ++size) {
    best = std::min(best, gemm(g, size, fill, rows));
  }
  return best;
}

Seconds RankFloor::least(const RankFill& fill) const {
  MOESIM_CHECK(fill.active > 0 && fill.tiles >= fill.active, "a slot with rows has a tile");
  const std::int64_t rows = least_rows(fill);
  const auto all = static_cast<double>(rows);
  const Seconds launch = compute_.constants.kernel_launch;
  Seconds kernels =
      std::min(gemm(0, fill.size, fill, rows) + finest(1, fill, rows),
               finest(0, fill, rows) + gemm(1, fill.size, fill, rows)) +
      memory_time(compute_,
                  swiglu_bytes(all, gemms_[0].columns, gemms_[1].inner, model_.weight_dtype)) +
      launch * 3.0;
  if (compute_.constants.expert_gather) {
    kernels = kernels + launch + memory_time(compute_, gather_bytes(all, model_));
  }
  return std::max(kernels, compute_.constants.expert_floor);
}

}  // namespace moesim
