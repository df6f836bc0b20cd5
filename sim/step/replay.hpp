// SPDX-License-Identifier: Apache-2.0
// Many steps, in parallel, with progress and cancellation.
#pragma once

#include <atomic>
#include <exception>
#include <functional>
#include <vector>

#include "sim/step/result.hpp"
#include "sim/step/step.hpp"

namespace moesim {

struct ReplayControl {
  int threads = 0;                                       ///< 0: all cores
  const std::atomic<bool>* cancelled = nullptr;          ///< checked before each step
  std::function<void(int done, int total)> on_progress;  ///< called from any thread, one at a time
};

/// Thrown when `cancelled` was set before all steps were done. Exit code 130.
class Cancelled : public std::exception {
 public:
  [[nodiscard]] const char* what() const noexcept override { return "interrupted"; }
};

/// Steps 0 .. steps - 1, in order whatever the thread count (INV-6). Steps are independent: each
/// starts at time 0. Steps with the same routing in every layer are simulated once.
/// Checked by: replay_test.
[[nodiscard]] std::vector<StepResult> replay(const StepModel& model,
                                             int steps,
                                             const ReplayControl& control);

}  // namespace moesim
