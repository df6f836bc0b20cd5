// SPDX-License-Identifier: Apache-2.0
// The least that a copy of a token takes into and out of a rank: what bounds are made from.
#pragma once

#include "sim/moe/domains.hpp"
#include "sim/step/step.hpp"

namespace moesim {

/// Seconds of one copy at the best rate that any rank has; 0 where no own link bounds it.
struct CopyTime {
  double in = 0.0;   ///< in the dispatch
  double out = 0.0;  ///< in the combine
  [[nodiscard]] double both() const { return in + out; }
};

struct CopyTimes {
  CopyTime remote;  ///< from and to another domain, over links that only this rank has
  CopyTime any;     ///< from and to any other rank, over all links of this rank
};

/// Bytes of a copy, message_overhead included where each row is a message, over the usable rate of
/// links. Inside the only domain there is, the scale-up links alone count.
/// Valid for: bounds. A NIC that several GPUs share bounds nothing. Checked by:
/// placement_bound_test. @param slots  of a layer
[[nodiscard]] CopyTimes copy_times(const StepModel& model, const Domains& domains, int slots);

}  // namespace moesim
