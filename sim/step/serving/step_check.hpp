// SPDX-License-Identifier: Apache-2.0
// The error of the step times that a run used: some of its very steps, simulated in full.
#pragma once

#include <atomic>
#include <functional>
#include <span>
#include <vector>

#include "sim/step/serving/serve.hpp"

namespace moesim {

struct StepCheck {
  SimTime start;
  std::int64_t prefill_tokens = 0;  ///< of all attention groups
  std::int64_t decode_tokens = 0;
  Seconds predicted;
  Seconds simulated;  ///< every layer, every request's own routing

  [[nodiscard]] double error() const { return predicted / simulated - 1; }
};

/// Simulates the kept steps, in parallel; those after a cancellation are left out.
[[nodiscard]] std::vector<StepCheck> check_steps(
    const WholeModel& whole,
    const RequestRoutes* routes,
    std::span<const KeptStep> kept,
    const std::atomic<bool>* cancelled,
    const std::function<void(int done, int total)>& on_progress);

}  // namespace moesim
