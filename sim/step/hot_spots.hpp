// SPDX-License-Identifier: Apache-2.0
// The busiest experts, ranks, pairs and links of a layer.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sim/moe/dispatch.hpp"
#include "sim/step/result.hpp"

namespace moesim {

/// Indices of the largest values that are > 0, largest first, the lower index first among equals.
[[nodiscard]] std::vector<std::size_t> largest(std::span<const std::int64_t> values,
                                               std::size_t count);

/// max / mean; 1 when all are zero.
[[nodiscard]] double max_over_mean(std::span<const std::int64_t> values);

[[nodiscard]] std::vector<HotPair> hot_pairs(const TrafficMatrix& matrix, std::size_t count);

/// Adds a layer's bytes to the cells of `load`; ranks_per_cell is the least power of two that
/// leaves at most kMostPairCells cells.
void add_pairs(PairLoad& load, const TrafficMatrix& matrix);

}  // namespace moesim
