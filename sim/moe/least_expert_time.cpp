// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/least_expert_time.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

#include "sim/core/check.hpp"
#include "sim/moe/gemm_parts.hpp"

namespace moesim {

LeastExpertTime::LeastExpertTime(const ComputeModel& compute,
                                 const ModelShape& model,
                                 std::int64_t most_rows)
    : compute_(compute), model_(model), most_rows_(most_rows) {
  MOESIM_CHECK(most_rows >= 0, "no negative number of rows");
  for (const GemmShape& gemm : expert_gemms(model)) {
    covers_.push_back(cover(gemm.columns, full_tile_time(compute, gemm)));
  }
}

LeastExpertTime::Cover LeastExpertTime::cover(std::int64_t columns, Seconds full_tile) const {
  const auto tiles = tile_options(compute_.constants, columns);
  Cover cover{.unit = 0, .seconds = {}};
  for (const TileOption& tile : tiles) {
    cover.unit = std::gcd(cover.unit, tile.rows);
  }
  cover.seconds.assign(static_cast<std::size_t>((most_rows_ + cover.unit - 1) / cover.unit) + 1,
                       std::numeric_limits<double>::infinity());
  cover.seconds[0] = 0.0;
  for (std::size_t i = 1; i < cover.seconds.size(); ++i) {
    for (const TileOption& tile : tiles) {
      const auto held = static_cast<std::size_t>(tile.rows / cover.unit);
      const double price = static_cast<double>(tile.column_blocks) / compute_.gpu.sms *
                           tile.relative * full_tile.value;
      cover.seconds[i] = std::min(cover.seconds[i], cover.seconds[i - std::min(i, held)] + price);
    }
  }
  return cover;
}

Seconds LeastExpertTime::mean(std::span<const std::int64_t> rows, SlotRoom room) const {
  MOESIM_CHECK(room.ranks > 0 && room.slots_per_rank > 0, "there are slots");
  const auto all = static_cast<double>(std::accumulate(rows.begin(), rows.end(), std::int64_t{0}));
  const auto active = std::count_if(rows.begin(), rows.end(), [](std::int64_t n) { return n > 0; });
  if (active == 0) {
    return {};
  }
  const double ranks = room.ranks;
  const auto busy = static_cast<double>((active + room.slots_per_rank - 1) / room.slots_per_rank);
  const Seconds launch = compute_.constants.kernel_launch * (busy / ranks);
  const auto gemms = expert_gemms(model_);
  Seconds kernels =
      memory_time(
          compute_,
          swiglu_bytes(
              all / ranks, gemms.front().columns, gemms.back().inner, model_.weight_dtype)) +
      launch;
  for (std::size_t g = 0; g < gemms.size(); ++g) {
    const Cover& cover = covers_[g];
    double compute = 0.0;
    for (const std::int64_t n : rows) {
      compute += cover.seconds[static_cast<std::size_t>((n + cover.unit - 1) / cover.unit)];
    }
    const Seconds memory = memory_time(
        compute_, gemm_bytes(static_cast<double>(active) / ranks, all / ranks, gemms[g]));
    kernels = kernels + launch +
              overlapped(seconds(compute / ranks), memory, compute_.constants.gemm_overlap);
  }
  if (compute_.constants.expert_gather) {
    kernels = kernels + launch + memory_time(compute_, gather_bytes(all / ranks, model_));
  }
  return std::max(kernels, compute_.constants.expert_floor * (busy / ranks));
}

}  // namespace moesim
