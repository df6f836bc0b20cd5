// SPDX-License-Identifier: Apache-2.0
// The least time of an inference step once its routing is drawn, without simulating its network.
#pragma once

#include "sim/core/units.hpp"
#include "sim/step/prepared_batch.hpp"

namespace moesim {

/// Prefill and decode with the fluid engine: the step takes no less. Of other engines nothing is
/// proved: 0.
///   max(way of the slowest rank, max over links of all bytes of the step over the link / capacity)
/// The way of a rank is its work in order, with the times that it takes alone, and kernels that end
/// no earlier than
///   start + issue                         of its own kernel and of those that send to it
///   first start + bytes / capacity        of each link, over all that the rank sends (where the
///                                         kernel waits for its sends) and over all that it gets
///   start of the sender + latency + bytes / smallest capacity of the path   of each transfer to it
/// with pp > 1 forward_step() of its stages, transfers between them for free; at least host_layer
/// a layer.
/// Proof: by induction along the order of the tasks. A flow starts no earlier than the kernel that
/// works on it and lasts no less than alone on its path; flows that share a link get no more than
/// its capacity together, so the last of them ends no earlier than all their bytes take after the
/// first start. What else holds tasks back (relays, rounds of channels, other ranks' flows, pace
/// beside kernels) only delays them. Over a whole step no link carries more than its capacity.
/// Rounding of the clock is taken off: 1e-6 of the whole.
/// Cost: a pass over the transfers and their paths, no event. Checked by: whole_bound_test (INV-3).
[[nodiscard]] Seconds least_traffic_time(const WholeModel& model, const PreparedStep& prepared);

/// Training: no step takes less than any stage s of it,
///   max(end(s) + reduce of the last part, m v reduce) + optimiser + gather
/// with end(s) of least_stage_ends() (dualpipe: 0), and reduce, optimiser and gather those of
/// stage_state(): rings of the stage's copies, which no routing changes. ZeRO 2 and 3 reduce after
/// each of m v backward passes, beside later ones (or between them: then end(s) + m v reduce).
/// Checked by: whole_bound_test (INV-3).
[[nodiscard]] Seconds least_training_time(const WholeModel& model);

}  // namespace moesim
