// SPDX-License-Identifier: Apache-2.0
#include "sim/step/serving/step_check.hpp"

#include <tbb/parallel_for.h>

#include <mutex>
#include <optional>

namespace moesim {
namespace {

StepCheck check_of(const KeptStep& kept, Seconds simulated) {
  StepCheck check{.start = kept.start, .predicted = kept.predicted, .simulated = simulated};
  for (const std::vector<BatchItem>& items : kept.batch) {
    for (const BatchItem& item : items) {
      (item.kind == StepKind::kPrefill ? check.prefill_tokens : check.decode_tokens) += item.tokens;
    }
  }
  return check;
}

}  // namespace

std::vector<StepCheck> check_steps(const WholeModel& whole,
                                   const RequestRoutes* routes,
                                   std::span<const KeptStep> kept,
                                   const std::atomic<bool>* cancelled,
                                   const std::function<void(int done, int total)>& on_progress) {
  std::vector<std::optional<StepCheck>> checked(kept.size());
  std::mutex progress;
  int done = 0;
  tbb::parallel_for(std::size_t{0}, kept.size(), [&](std::size_t i) {
    if (cancelled != nullptr && cancelled->load()) {
      return;
    }
    checked[i] =
        check_of(kept[i], simulate_batch(whole, routes, kept[i].batch).makespan.to_seconds());
    const std::scoped_lock lock(progress);
    ++done;
    if (on_progress) {
      on_progress(done, static_cast<int>(kept.size()));
    }
  });
  std::vector<StepCheck> all;
  for (const std::optional<StepCheck>& one : checked) {
    if (one) {
      all.push_back(*one);
    }
  }
  return all;
}

}  // namespace moesim
