// SPDX-License-Identifier: Apache-2.0
#include "sim/step/hot_spots.hpp"

#include <algorithm>
#include <numeric>

namespace moesim {

std::vector<std::size_t> largest(std::span<const std::int64_t> values, std::size_t count) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::erase_if(order, [&](std::size_t i) { return values[i] <= 0; });
  count = std::min(count, order.size());
  std::partial_sort(order.begin(),
                    order.begin() + static_cast<std::ptrdiff_t>(count),
                    order.end(),
                    [&](std::size_t a, std::size_t b) {
                      return values[a] != values[b] ? values[a] > values[b] : a < b;
                    });
  order.resize(count);
  return order;
}

double max_over_mean(std::span<const std::int64_t> values) {
  const std::int64_t sum = std::accumulate(values.begin(), values.end(), std::int64_t{0});
  if (sum == 0) {
    return 1.0;
  }
  const std::int64_t max = *std::max_element(values.begin(), values.end());
  return static_cast<double>(max) * static_cast<double>(values.size()) / static_cast<double>(sum);
}

std::vector<HotPair> hot_pairs(const TrafficMatrix& matrix, std::size_t count) {
  const auto ranks = static_cast<std::size_t>(matrix.num_ranks);
  std::vector<HotPair> pairs;
  for (const std::size_t i : largest(matrix.bytes, count)) {
    pairs.push_back({id_at<RankId>(i / ranks), id_at<RankId>(i % ranks), matrix.bytes[i]});
  }
  return pairs;
}

void add_pairs(PairLoad& load, const TrafficMatrix& matrix) {
  const int ranks = matrix.num_ranks;
  while ((ranks + load.ranks_per_cell - 1) / load.ranks_per_cell > kMostPairCells) {
    load.ranks_per_cell *= 2;
  }
  load.cells = (ranks + load.ranks_per_cell - 1) / load.ranks_per_cell;
  load.bytes.resize(static_cast<std::size_t>(load.cells) * static_cast<std::size_t>(load.cells));
  for (std::size_t i = 0; i < matrix.bytes.size(); ++i) {
    const auto source = static_cast<int>(i) / ranks / load.ranks_per_cell;
    const auto destination = static_cast<int>(i) % ranks / load.ranks_per_cell;
    load.bytes[static_cast<std::size_t>(source * load.cells + destination)] += matrix.bytes[i];
  }
}

}  // namespace moesim
