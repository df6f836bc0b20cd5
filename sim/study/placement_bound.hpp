// SPDX-License-Identifier: Apache-2.0
// A certificate: no placement with so many slots makes a layer faster than this.
#pragma once

#include <algorithm>
#include <atomic>
#include <optional>

#include "sim/core/units.hpp"
#include "sim/step/step.hpp"
#include "sim/study/expert_traffic.hpp"

namespace moesim {

/// Lower bounds on the time of one layer, averaged over the steps of a window.
struct PlacementBound {
  Seconds load;    ///< the rank of the busiest slot
  Seconds waves;   ///< the slowest rank, its tiles and waves whole
  Seconds linear;  ///< the linear program, cut bound included

  [[nodiscard]] Seconds best() const { return std::max({load, waves, linear}); }
};

/// Holds for PlacementCost::total() and for the simulated layer alike, for every placement of
/// `slots` slots under the model's choice of replicas. All rest on the chain of one rank r:
///
///   time >= fixed + in(r) + experts(r) + out(r),   in, out = bytes over the rank's own links
///
/// load    In each step t = the least rows of the busiest slot, whatever the numbers of replicas:
///         least t with sum over experts of ceil(rows / t) <= slots. Its rank's other slots have
///         the fewest rows (none, where there are spare slots); its rows are of distinct tokens,
///         at most those of one source its own.
/// waves   In each step the slowest rank by WaveBound::slowest (wave_bound.hpp): whole tiles and
///         waves of slots that take turns, or, under other choices, of any sharing. Its arrivals:
///         rows but for those of one source for slots_per_rank experts, and for pairs of its
///         experts in a token, at most half the slots_per_rank largest sums of slots_per_rank - 1
///         pairs.
/// linear  x[e, d]: share of expert e served in domain d. Minimise T with, for each domain d, by
///         the means over its ranks,
///           T >= fixed + in[d] + experts[d] + out[d]
///           in[d], out[d] >= remote[d] * a copy over links to other domains,
///                            arriving[d] * a copy over all links    (copy_times.hpp)
///           experts[d] >= every line of expert_floor.hpp, over rows and over slots with rows
///           mean over d of experts[d] >= the mean over the steps of least_expert_time.hpp and of
///             WaveBound::mean
///           remote[d] >= sum over e of x[e, d] * (assignments from other domains) / s,
///           arriving[d] >= the same / s' and >= remote[d], s = s' = 1 where no copy is shared,
///           else
///             s = min(top_k, slots of the domain), s' = min(top_k, slots of a rank)
///           sum over d of remote[d], of arriving[d] >= fewest_copies of domains, of ranks
///             (pair_bound.hpp); arriving too: assignments beyond those of the busiest experts that
///             a rank may hold for itself (and, where slots take turns, beyond those of the busiest
///             source of each expert and one a spare slot), less most_shared of ranks
///           sum over d of x[e, d] = 1,  sum over e of x[e, d] <= slots of d
/// Counted over all tokens. Source: LP by CLP (COIN-OR); its optimum less one part in a million,
/// for its tolerances. Valid for: dropless layers without padding. A NIC that several GPUs share,
/// and low_latency without scale_up, leave only the load of the links they surely use. Checked by:
/// placement_bound_test (no placement of small cases is faster, nor is its simulation).
[[nodiscard]] PlacementBound placement_bound(const StepModel& model,
                                             TrafficWindow window,
                                             int layer,
                                             int slots);

/// The mean of best() over the model's layers, found in parallel; same at any thread count. None
/// when `cancelled` was set. @param threads  0: all cores
[[nodiscard]] std::optional<Seconds> mean_layer_bound(const StepModel& model,
                                                      TrafficWindow window,
                                                      int slots,
                                                      int threads,
                                                      const std::atomic<bool>* cancelled);

}  // namespace moesim
