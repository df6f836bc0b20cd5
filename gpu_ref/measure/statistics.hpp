// SPDX-License-Identifier: Apache-2.0
// Samples of one timing, and when there are enough of them.
#pragma once

#include <span>
#include <string_view>
#include <vector>

namespace moesim::measure {

/// Median and spread of a list of samples, in the samples' unit (seconds).
struct SampleSummary {
  double median = 0.0;
  double p10 = 0.0;
  double p90 = 0.0;
  /// Half width of the 95 % interval of the median over the median; see noise_of_median.
  double noise_ratio = 0.0;
};

/// The q-quantile of sorted values, linear between neighbours (Hyndman & Fan 1996, type 7).
/// @param sorted not empty   @param q in [0, 1]
[[nodiscard]] double quantile(std::span<const double> sorted, double q);

/// How far the median may be off, relative to it, from order statistics:
///   noise = (x[hi] - x[lo]) / (2 * median),  lo, hi = n/2 -+ 0.98 sqrt(n), clamped to the list
/// Half width of the distribution-free 95 % interval of the median (David & Nagaraja, Order
/// Statistics, 3rd ed., 7.1). Infinite for fewer than two samples or a median of 0.
/// Checked by: statistics_test.
[[nodiscard]] double noise_of_median(std::span<const double> sorted);

/// @param samples not empty, any order
[[nodiscard]] SampleSummary summarise_samples(std::vector<double> samples);

/// Sampling ends at the first of: noise_ratio small enough with min_samples taken; max_samples
/// taken; max_seconds spent with min_samples taken.
struct StopRule {
  int min_samples = 12;
  int max_samples = 60;
  double noise_ratio = 0.01;
  double max_seconds = 0.5;  ///< of wall time, flushes included
};

enum class StopReason { kGoOn, kNoise, kSamples, kTime };
[[nodiscard]] std::string_view to_text(StopReason reason);  ///< "noise", "samples", "time"

/// Whether to stop, after the samples taken so far in `spent` seconds.
[[nodiscard]] StopReason stop_now(const StopRule& rule,
                                  const std::vector<double>& samples,
                                  double spent);

}  // namespace moesim::measure
