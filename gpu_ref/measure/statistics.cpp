// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/measure/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

namespace moesim::measure {

double quantile(std::span<const double> sorted, double q) {
  const double at = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  const double share = at - static_cast<double>(below);
  return sorted[below] + share * (sorted[above] - sorted[below]);
}

double noise_of_median(std::span<const double> sorted) {
  const auto n = static_cast<double>(sorted.size());
  const double median = sorted.empty() ? 0.0 : quantile(sorted, 0.5);
  if (sorted.size() < 2 || median <= 0.0) {
    return std::numeric_limits<double>::infinity();
  }
  const double half = 0.98 * std::sqrt(n);
  const double last = n - 1;
  const double low = std::clamp(std::floor(n / 2 - half), 0.0, last);
  const double high = std::clamp(std::ceil(n / 2 + half), 0.0, last);
  const double width =
      sorted[static_cast<std::size_t>(high)] - sorted[static_cast<std::size_t>(low)];
  return width / (2 * median);
}

SampleSummary summarise_samples(std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  return {.median = quantile(samples, 0.5),
          .p10 = quantile(samples, 0.1),
          .p90 = quantile(samples, 0.9),
          .noise_ratio = noise_of_median(samples)};
}

std::string_view to_text(StopReason reason) {
  switch (reason) {
    case StopReason::kNoise:
      return "noise";
    case StopReason::kSamples:
      return "samples";
    case StopReason::kTime:
      return "time";
    case StopReason::kGoOn:
      break;
  }
  return "none";
}

StopReason stop_now(const StopRule& rule, const std::vector<double>& samples, double spent) {
  const auto taken = static_cast<int>(samples.size());
  if (taken >= rule.max_samples) {
    return StopReason::kSamples;
  }
  if (taken < rule.min_samples) {
    return StopReason::kGoOn;
  }
  if (summarise_samples(samples).noise_ratio <= rule.noise_ratio) {
    return StopReason::kNoise;
  }
  return spent >= rule.max_seconds ? StopReason::kTime : StopReason::kGoOn;
}

}  // namespace moesim::measure
