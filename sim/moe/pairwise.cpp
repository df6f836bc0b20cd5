// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/dispatch_parts.hpp"

namespace moesim {

void plan_pairwise(const RankCounts& counts, CopyBytes copy, LayerTraffic& traffic) {
  traffic.dispatch.transfers = direct_transfers(counts.copies, copy.dispatch());
  traffic.combine.transfers = reverse_transfers(counts.copies, copy.combine);
}

}  // namespace moesim
