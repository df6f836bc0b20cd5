// SPDX-License-Identifier: Apache-2.0
// Unevenness of plain lists of loads.
#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "sim/core/check.hpp"
#include "sim/moe/traces/skew.hpp"

namespace moesim::traces {
namespace {

std::int64_t sum_of(std::span<const std::int64_t> load) {
  return std::accumulate(load.begin(), load.end(), std::int64_t{0});
}

/// Population standard deviation.
double deviation(std::span<const double> values) {
  const auto n = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  double squares = 0.0;
  for (const double value : values) {
    squares += (value - mean) * (value - mean);
  }
  return std::sqrt(squares / n);
}

double top_fifth(std::span<const std::int64_t> load, std::int64_t sum) {
  std::vector<std::int64_t> sorted(load.begin(), load.end());
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  const std::size_t top = std::max<std::size_t>(1, load.size() / 5);
  return static_cast<double>(sum_of(std::span(sorted).first(top))) / static_cast<double>(sum);
}

}  // namespace

Spread spread_of(std::vector<double> values) {
  MOESIM_CHECK(!values.empty(), "spread of nothing");
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  const double median =
      values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  return {.median = median, .min = values.front(), .max = values.back()};
}

LoadSkew load_skew(std::span<const std::int64_t> load) {
  constexpr double kColdShare = 0.1;
  constexpr double kLeastLoad = 0.5;  // stands for an expert that was never chosen, whose ln is not
  const std::int64_t sum = sum_of(load);
  MOESIM_CHECK(sum > 0, "skew of an empty load");
  const double mean = static_cast<double>(sum) / static_cast<double>(load.size());
  std::vector<double> loads(load.begin(), load.end());
  std::vector<double> logs;
  logs.reserve(loads.size());
  for (const double value : loads) {
    logs.push_back(std::log(std::max(value, kLeastLoad)));
  }
  return {.max_over_mean = *std::max_element(loads.begin(), loads.end()) / mean,
          .variation = deviation(loads) / mean,
          .std_ln = deviation(logs),
          .top_share = top_fifth(load, sum),
          .cold = static_cast<double>(std::count_if(loads.begin(), loads.end(), [&](double value) {
            return value < kColdShare * mean;
          }))};
}

double total_variation(std::span<const std::int64_t> a, std::span<const std::int64_t> b) {
  MOESIM_CHECK(a.size() == b.size(), "loads of different experts");
  const auto sum_a = static_cast<double>(sum_of(a));
  const auto sum_b = static_cast<double>(sum_of(b));
  double distance = 0.0;
  for (std::size_t e = 0; e < a.size(); ++e) {
    distance += std::abs(static_cast<double>(a[e]) / sum_a - static_cast<double>(b[e]) / sum_b) / 2;
  }
  return distance;
}

double rank_imbalance(std::span<const std::int64_t> load, int ranks) {
  const auto num_ranks = static_cast<std::size_t>(ranks);
  MOESIM_CHECK(ranks > 0 && load.size() % num_ranks == 0, "ranks divide the experts");
  const std::size_t block = load.size() / num_ranks;
  std::int64_t most = 0;
  for (std::size_t rank = 0; rank < num_ranks; ++rank) {
    most = std::max(most, sum_of(load.subspan(rank * block, block)));
  }
  const double mean = static_cast<double>(sum_of(load)) / static_cast<double>(ranks);
  return static_cast<double>(most) / mean - 1.0;
}

}  // namespace moesim::traces
