// SPDX-License-Identifier: Apache-2.0
// Placements that are made anew while the routing goes on: never, at intervals, or when ranks have
// drifted apart.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "sim/moe/placement.hpp"
#include "sim/step/placement_training.hpp"
#include "sim/step/replay.hpp"
#include "sim/step/step.hpp"

namespace moesim {

/// When a placement is made anew. Neither: never.
struct RebalancePolicy {
  int every = 0;  ///< steps between two
  double threshold =
      0.0;  ///< imbalance of the loads just seen, above which it is; 0: not looked at
};

/// Loads of a window, [layer][expert], to placements by layer.
using PlacementMaker =
    std::function<std::vector<Placement>(std::span<const std::vector<double>> loads)>;

struct RebalanceSetup {
  int first = 0;   ///< step; at least `window`
  int steps = 0;   ///< simulated from there
  int window = 1;  ///< steps whose loads a new placement is made from: the ones before
  PlacementMaker make;
};

struct RebalanceOutcome {
  RebalancePolicy policy;
  std::vector<double> step_s;  ///< by step, without stalls
  int moves = 0;               ///< times that experts were sent
  double stall_s = 0.0;        ///< pauses, all together
  std::int64_t moved_bytes = 0;

  /// Mean step with its part of the stalls.
  [[nodiscard]] double mean_s() const;
};

/// Runs a policy from the model's placements. Before step first + i a new placement is made
///   every:      when i is a multiple of `every` (the first time at i = 0)
///   threshold:  when i is a multiple of `window` and planned_imbalance of the window before, under
///               the placement in force, is above it
/// and serving pauses while experts move (pause_of). Deterministic at any thread count (INV-6).
/// Source: SGLang's --eplb-rebalance-num-iterations and vLLM's step_interval. Left out: what the
/// engine takes to collect loads and to compute the placement. Checked by: rebalance_test.
[[nodiscard]] RebalanceOutcome rebalance(const StepModel& model,
                                         const RebalancePolicy& policy,
                                         const RebalanceSetup& setup,
                                         const ReplayControl& control);

/// Mean over layers of max/mean load of a rank, the replicas of an expert sharing evenly.
/// Checked by: rebalance_test.
[[nodiscard]] double planned_imbalance(std::span<const std::vector<double>> loads,
                                       std::span<const Placement> placements);

}  // namespace moesim
