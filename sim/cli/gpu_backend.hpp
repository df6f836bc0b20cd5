// SPDX-License-Identifier: Apache-2.0
// Runs a scenario's layers on the attached GPUs, with its routing, capacity and placement.
#pragma once

#include <atomic>
#include <functional>

#include "gpu_ref/measure/layer_meter.hpp"
#include "sim/cli/gpu_report.hpp"
#include "sim/step/step.hpp"

namespace moesim::cli {

/// One layer of one step as the GPU layer takes it: model sizes, capacity, placement, routing.
[[nodiscard]] measure::RoutedLayer routed_layer(const StepModel& model, int step, int layer);

struct GpuControl {
  const std::atomic<bool>* cancelled = nullptr;          ///< checked before each layer
  std::function<void(int done, int total)> on_progress;  ///< of layers
};

/// Every layer of every step. `head` becomes the report's, with notes added.
/// Throws UserError where the GPU layer has no such layer (fp8 on widths or devices without it),
/// Cancelled.
[[nodiscard]] GpuReport measure_scenario(const StepModel& model,
                                         int steps,
                                         RunReport head,
                                         measure::LayerMeter& meter,
                                         const GpuControl& control);

}  // namespace moesim::cli
