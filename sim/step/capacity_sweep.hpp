// SPDX-License-Identifier: Apache-2.0
// One scenario under many capacities: factor x policy x scope over the same routing.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "sim/moe/capacity.hpp"
#include "sim/step/replay.hpp"
#include "sim/step/step.hpp"

namespace moesim {

struct CapacityGrid {
  std::vector<double> factors;  ///< ascending, each once
  std::vector<OverflowPolicy> policies;
  std::vector<CapacityScope> scopes;
};

/// One policy in one scope; its points are factors.
struct CapacityCurve {
  OverflowPolicy policy = OverflowPolicy::kNone;
  CapacityScope scope = CapacityScope::kRank;
};

/// What one capacity costs and loses, over the steps done.
struct CapacityPoint {
  CapacitySpec spec;
  std::vector<double> step_s;                ///< by step
  std::vector<double> dropped_ratio;         ///< by step and layer
  std::vector<double> dropped_weight_ratio;  ///< the same; empty without gate weights
  std::int64_t assignments = 0;              ///< sums over steps and layers
  std::int64_t dropped = 0;
  std::int64_t diverted = 0;
  double weight = 0.0;
  double dropped_weight = 0.0;
  std::int64_t tokens = 0;  ///< once a layer
  std::int64_t lost_tokens = 0;
  std::int64_t padding_rows = 0;
  std::int64_t accepted_rows = 0;
  std::int64_t dispatch_bytes = 0;
  std::int64_t combine_bytes = 0;
  std::int64_t scale_out_bytes = 0;
};

struct CapacitySweep {
  CapacityPoint dropless;
  std::vector<CapacityCurve> curves;
  std::vector<CapacityPoint> points;  ///< by curve, then factor
  int steps_done = 0;                 ///< fewer than asked: interrupted
  int steps = 0;
  std::int64_t simulated = 0;  ///< steps run on the clock; the rest equalled one of them
};

/// The curves of a grid: scopes within policies. Pad is left out where ranks pool their capacity.
[[nodiscard]] std::vector<CapacityCurve> curves_of(const CapacityGrid& grid);

/// Sweeps steps 0 .. steps - 1, each with every point, in order; keys of [capacity] that the grid
/// does not name are the model's.
///
/// A step's routing is drawn once. Nested policies (capacity_ladder) are counted for 8 factors in
/// one pass. A point that drops, diverts and pads nothing is the dropless one, and one of a nested
/// curve that drops as many as the factor before it, layer by layer, is that one: neither is run
/// again. Same result at any thread count (INV-6). Checked by: capacity_sweep_test, against one run
/// a point.
///
/// When control.cancelled is set, returns the whole steps done so far; throws Cancelled if there
/// are none. control.on_progress counts points of all steps.
[[nodiscard]] CapacitySweep sweep_capacity(const StepModel& model,
                                           int steps,
                                           const CapacityGrid& grid,
                                           const ReplayControl& control);

}  // namespace moesim
