// SPDX-License-Identifier: Apache-2.0
#include "sim/study/row_spread.hpp"

#include <cmath>
#include <cstddef>
#include <numeric>

#include "sim/core/check.hpp"

namespace moesim {

double kept_spread(const ExpertTraffic& traffic) {
  if (traffic.steps < 2) {
    return 0.0;
  }
  double means = 0.0;
  double variances = 0.0;
  for (std::size_t e = 0; e < static_cast<std::size_t>(traffic.experts); ++e) {
    double sum = 0.0;
    double squares = 0.0;
    for (int step = 0; step < traffic.steps; ++step) {
      const auto counts = traffic.of(step, e);
      const auto rows =
          static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}));
      sum += rows;
      squares += rows * rows;
    }
    const double mean = sum / traffic.steps;
    means += mean;
    variances += (squares - sum * mean) / (traffic.steps - 1);
  }
  return variances > means ? 1.0 - means / variances : 0.0;
}

void smooth_rows(std::span<std::int64_t> rows_by_step, double kept) {
  MOESIM_CHECK(kept >= 0.0 && kept <= 1.0, "a part of the spread is kept");
  if (kept == 1.0 || rows_by_step.empty()) {
    return;
  }
  const std::int64_t all =
      std::accumulate(rows_by_step.begin(), rows_by_step.end(), std::int64_t{0});
  const double mean = static_cast<double>(all) / static_cast<double>(rows_by_step.size());
  std::int64_t before = 0;  // of the rows as they were
  std::int64_t given = 0;
  for (std::size_t step = 0; step < rows_by_step.size(); ++step) {
    before += rows_by_step[step];
    const double sum =
        kept * static_cast<double>(before) + (1.0 - kept) * mean * static_cast<double>(step + 1);
    rows_by_step[step] = static_cast<std::int64_t>(std::floor(sum + 0.5)) - given;
    given += rows_by_step[step];
  }
}

}  // namespace moesim
