// SPDX-License-Identifier: Apache-2.0
#include "sim/step/replay.hpp"

#include <tbb/global_control.h>
#include <tbb/parallel_for.h>

#include <mutex>
#include <optional>

namespace moesim {

std::vector<StepResult> replay(const StepModel& model, int steps, const ReplayControl& control) {
  std::optional<tbb::global_control> limit;
  if (control.threads > 0) {
    limit.emplace(tbb::global_control::max_allowed_parallelism,
                  static_cast<std::size_t>(control.threads));
  }
  std::vector<StepResult> results(static_cast<std::size_t>(steps));
  std::mutex progress;
  int done = 0;
  tbb::parallel_for(0, steps, [&](int step) {
    if (control.cancelled != nullptr && control.cancelled->load()) {
      return;
    }
    results[static_cast<std::size_t>(step)] = simulate_step(model, step);
    const std::scoped_lock lock(progress);
    ++done;
    if (control.on_progress) {
      control.on_progress(done, steps);
    }
  });
  if (done < steps) {
    throw Cancelled();
  }
  return results;
}

}  // namespace moesim
