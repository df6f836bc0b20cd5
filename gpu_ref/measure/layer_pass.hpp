// SPDX-License-Identifier: Apache-2.0
// One forward pass of a rank's layer without gaps between its kernels where the host allows it.
#pragma once

#include "gpu_ref/layer/exchange.hpp"
#include "gpu_ref/measure/gpu_timer.hpp"

namespace moesim::measure {

inline constexpr int kWarmupPasses = 2;

/// All phases of `layer` on the timer's stream. The stream is held before the gate and again after
/// the host has planned the GEMMs, so that the launches behind are enqueued before they run.
void forward_without_gaps(gpu_ref::RankLayer& layer,
                          gpu_ref::Exchange& exchange,
                          const gpu_ref::RankTokens& tokens,
                          GpuTimer& timer);

/// A wait long enough for the launches of a pass.
void hold_for_pass(GpuTimer& timer);

}  // namespace moesim::measure
