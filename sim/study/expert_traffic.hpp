// SPDX-License-Identifier: Apache-2.0
// What the tokens of a window of steps ask of the experts of one layer: all that a placement is
// judged by, whatever the placement.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "sim/moe/routing.hpp"

namespace moesim {

/// Steps [first, first + steps) of a routing, and how many of their tokens are kept one by one.
struct TrafficWindow {
  int first = 0;
  int steps = 1;
  int max_tokens = 16'384;  ///< of a layer over all steps: what de-duplication is counted on
  bool in_order = false;    ///< keep the order of all assignments, which kLeastLoaded asks for
};

/// One assignment of a kept token.
struct KeptAssignment {
  std::int32_t token = 0;  ///< of the kept ones
  std::int32_t turn = 0;   ///< earlier assignments of the same (step, source, expert)
  std::int32_t order = 0;  ///< earlier assignments of the same (source, expert), all steps
};

/// The routing of one layer in a window. Counts are of all tokens. Of every source's tokens every
/// `stride`-th is kept, counted through the window, so each kept token stands for `stride`.
struct ExpertTraffic {
  int ranks = 0;
  int experts = 0;
  int top_k = 0;
  int steps = 0;
  int stride = 1;
  std::vector<std::int32_t> counts;      ///< [step][expert][source] assignments
  std::vector<std::int32_t> tokens;      ///< [step][source]
  std::vector<std::int32_t> kept_begin;  ///< [experts * ranks + 1] into kept
  std::vector<KeptAssignment> kept;      ///< by expert, then source
  std::int32_t kept_tokens = 0;
  std::vector<ExpertIndex> order;  ///< experts of all assignments, [step] in token order; or none

  /// Assignments of one expert in one step, by source.
  [[nodiscard]] std::span<const std::int32_t> of(int step, std::size_t expert) const {
    const auto row = (static_cast<std::size_t>(step) * static_cast<std::size_t>(experts)) + expert;
    return std::span(counts).subspan(row * static_cast<std::size_t>(ranks),
                                     static_cast<std::size_t>(ranks));
  }
  /// Kept assignments of one expert from one source.
  [[nodiscard]] std::span<const KeptAssignment> kept_of(std::size_t expert,
                                                        std::size_t source) const {
    const std::size_t cell = expert * static_cast<std::size_t>(ranks) + source;
    const auto begin = static_cast<std::size_t>(kept_begin[cell]);
    return std::span(kept).subspan(begin, static_cast<std::size_t>(kept_begin[cell + 1]) - begin);
  }
};

/// Deterministic. Routed assignments, before capacity. Checked by: placement_cost_test.
[[nodiscard]] ExpertTraffic summarise_traffic(const RoutingSource& routing,
                                              TrafficWindow window,
                                              int layer);

/// Assignments of each expert in a window, all steps and sources.
[[nodiscard]] std::vector<double> expert_loads(const ExpertTraffic& traffic);

}  // namespace moesim
