// SPDX-License-Identifier: Apache-2.0
// One dispatch or one combine by itself, every rank ready at time 0: what a benchmark of the
// communication kernels measures. The same tasks as in a step.
#pragma once

#include "sim/moe/dispatch.hpp"
#include "sim/moe/expert_cost.hpp"
#include "sim/step/layer_tasks.hpp"
#include "topology/cluster.hpp"
#include "topology/paths.hpp"

namespace moesim {

/// Where exchanges run. Rank r is GPU r. The cluster outlives it.
struct ExchangeSetup {
  const Cluster* cluster = nullptr;
  DispatchSpec dispatch;
  PathPolicy path_policy = PathPolicy::kEcmp;
  int ranks = 0;
};

/// From the start of the kernels to the last rank's end, by append_layer and the fluid network,
/// with no other work on the ranks. The weighted sum of a combine is not in it: it is
/// combine_reduce_time in a step. Checked by: exchange_test (equals a step whose compute takes no
/// time).
[[nodiscard]] Seconds time_dispatch(const ExchangeSetup& setup,
                                    const CommPlan& plan,
                                    const CostConstants& constants);
[[nodiscard]] Seconds time_combine(const ExchangeSetup& setup,
                                   const CommPlan& plan,
                                   const CostConstants& constants);

}  // namespace moesim
