// SPDX-License-Identifier: Apache-2.0
#include "sim/step/replay.hpp"

#include <tbb/global_control.h>
#include <tbb/parallel_for.h>

#include <mutex>
#include <optional>
#include <utility>

#include "sim/step/layer_work.hpp"
#include "sim/step/step_memo.hpp"

namespace moesim {
namespace {

std::vector<RoutingDigest> routings_of(const std::vector<PreparedLayer>& layers) {
  std::vector<RoutingDigest> routings;
  routings.reserve(layers.size());
  for (const PreparedLayer& layer : layers) {
    routings.push_back(layer.routing);
  }
  return routings;
}

/// Copies the result of each simulated step to those like it.
/// @param simulated  by step: the one of its kind that was simulated, whichever came first
void fill_repeated(std::vector<StepResult>& results, const std::vector<int>& simulated) {
  std::vector<int> earliest(results.size(), -1);
  for (std::size_t step = 0; step < results.size(); ++step) {
    const auto of = static_cast<std::size_t>(simulated[step]);
    if (of != step) {
      results[step] = results[of];
      results[step].step = static_cast<int>(step);
    }
    results[step].repeats = earliest[of];
    earliest[of] = earliest[of] < 0 ? static_cast<int>(step) : earliest[of];
  }
}

}  // namespace

std::vector<StepResult> replay(const StepModel& model, int steps, const ReplayControl& control) {
  std::optional<tbb::global_control> limit;
  if (control.threads > 0) {
    limit.emplace(tbb::global_control::max_allowed_parallelism,
                  static_cast<std::size_t>(control.threads));
  }
  std::vector<StepResult> results(static_cast<std::size_t>(steps));
  std::vector<int> simulated(results.size());
  StepMemo memo;
  std::mutex progress;
  int done = 0;
  tbb::parallel_for(0, steps, [&](int step) {
    if (control.cancelled != nullptr && control.cancelled->load()) {
      return;
    }
    std::vector<PreparedLayer> layers = prepare_step(model, step);
    const int first = memo.claim(routings_of(layers), step);
    simulated[static_cast<std::size_t>(step)] = first;
    if (first == step) {
      results[static_cast<std::size_t>(step)] = simulate_prepared(model, step, std::move(layers));
    }
    const std::scoped_lock lock(progress);
    ++done;
    if (control.on_progress) {
      control.on_progress(done, steps);
    }
  });
  if (done < steps) {
    throw Cancelled();
  }
  fill_repeated(results, simulated);
  return results;
}

}  // namespace moesim
