// SPDX-License-Identifier: Apache-2.0
// Rows of slots without what chance made of them: what searches learn from.
#pragma once

#include <cstdint>
#include <span>

#include "sim/study/expert_traffic.hpp"

namespace moesim {

/// How much of what a window shows searches believe: 1 all of it, 0 its means alone.
struct Believed {
  double rows = 1.0;     ///< of the spread of rows over the steps (kept_spread)
  double sharing = 1.0;  ///< of who shares copies with whom (trial_search.hpp)
};

/// The part of the spread of an expert's rows over the steps that is more than chance:
///
///   kept = max(0, 1 - sum over experts of mean / sum over experts of variance)
///
/// mean and variance over the steps; independent choices would make them equal (Poisson). 0 with
/// one step. Source: James & Stein 1961, by the method of moments. Checked by: search_parts_test.
[[nodiscard]] double kept_spread(const ExpertTraffic& traffic);

/// Turns the rows of one slot by step into kept * rows + (1 - kept) * mean, rounded so that the
/// sums up to any step are within half a row and that of all stays. A placement that fits the
/// chance of a window is no faster in the next one; these rows have less of it to fit.
/// Source: empirical Bayes. Valid for: steps of about one load. Checked by: search_parts_test.
void smooth_rows(std::span<std::int64_t> rows_by_step, double kept);

}  // namespace moesim
