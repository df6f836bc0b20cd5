// SPDX-License-Identifier: Apache-2.0
// What one layer of one step has to do, before any clock runs: routing, capacity, traffic, compute.
#pragma once

#include <vector>

#include "sim/moe/routing.hpp"
#include "sim/step/layer_tasks.hpp"
#include "sim/step/result.hpp"
#include "sim/step/step.hpp"

namespace moesim {

/// The work of a layer and the part of its result that needs no clock (loads, drops, bytes, hot
/// spots).
struct PreparedLayer {
  LayerWork work;
  LayerResult result;
};

[[nodiscard]] PreparedLayer prepare_layer(const StepModel& model, int step, int layer);

}  // namespace moesim
