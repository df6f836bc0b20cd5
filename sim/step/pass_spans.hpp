// SPDX-License-Identifier: Apache-2.0
// What the ranks do in passes of a whole model, for a timeline.
#pragma once

#include <span>
#include <vector>

#include "sim/step/step_trace.hpp"

namespace moesim {

/// Compute of every rank, and its kernels with their starts inside; those of a second lane on the
/// second communication track.
/// @param lane_of_kernel  by kernel: 0 or 1
/// @param directions      by task
[[nodiscard]] std::vector<TrackSpan> pass_spans(const TaskGraph& graph,
                                                std::span<const KernelSpan> kernels,
                                                std::span<const std::size_t> lane_of_kernel,
                                                std::span<const PassDirection> directions);

}  // namespace moesim
