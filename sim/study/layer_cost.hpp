// SPDX-License-Identifier: Apache-2.0
// The parts of a layer's time that a placement is judged by.
#pragma once

#include <cstdint>
#include <span>

#include "sim/core/units.hpp"
#include "sim/step/step.hpp"
#include "sim/study/expert_traffic.hpp"

namespace moesim {

/// Time of a layer, averaged over the steps of a window.
struct LayerCost {
  Seconds fixed;     ///< what no placement changes, at least: gate, kernel starts, weighted sum
  Seconds dispatch;  ///< busiest link or kernel
  Seconds experts;   ///< slowest rank, by step
  Seconds combine;   ///< as dispatch
  Seconds at_peaks;  ///< experts of the slowest rank when every expert is as busy as it ever was

  [[nodiscard]] Seconds total() const { return fixed + dispatch + experts + combine; }
  /// The total with a part `tail` of the experts' time taken at their peaks.
  [[nodiscard]] Seconds guarded(double tail) const { return total() + tail * (at_peaks - experts); }
};

/// What a layer takes whatever the placement, averaged over the steps: gate and weighted sum of one
/// row a token on the rank with the fewest tokens, and the kernel starts.
[[nodiscard]] Seconds fixed_time(const StepModel& model, const ExpertTraffic& traffic);

/// (sum of the loads^64)^(1/64), by products and square roots, the same on every platform; negative
/// loads count as 0.
[[nodiscard]] double soft_maximum(std::span<const std::int64_t> loads);

}  // namespace moesim
