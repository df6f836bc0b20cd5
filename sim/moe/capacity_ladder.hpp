// SPDX-License-Identifier: Apache-2.0
// One routing at many capacity factors at once. With kDrop and kPad an assignment's place in its
// expert's queue does not depend on the factor, so one pass over the tokens counts every factor.
#pragma once

#include <span>
#include <vector>

#include "sim/moe/dispatch_parts.hpp"

namespace moesim {

/// One routing under one factor: the counts and totals that apply_capacity and count_ranks yield.
struct Rung {
  RankCounts counts;
  Accepted accepted;  ///< totals only; keep and experts stay empty
};

/// True when `climb` can do it: kDrop or kPad without caps.
[[nodiscard]] bool is_nested(const CapacitySpec& spec);

/// A rung per factor.
///   rung(a) = the first factor whose capacity exceeds a's position in its (scope, slot) queue
///   accepted at factor f: all a with rung(a) <= f
///   copies(source, rank) at f: tokens whose least rung over their experts there is <= f
/// Valid for: kDrop and kPad without caps, where positions do not depend on the factor. Padded
/// shapes are the caller's (pad_counts). Checked by: capacity_ladder_test, against one factor at a
/// time. @param factors ascending, not empty, at most 254
[[nodiscard]] std::vector<Rung> climb(const Routing& routing,
                                      const CapacitySpec& spec,
                                      std::span<const double> factors,
                                      const Placed& placed);

}  // namespace moesim
