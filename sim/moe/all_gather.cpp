// SPDX-License-Identifier: Apache-2.0
// Every token to every rank, and sums back: an all-gather and a reduce-scatter. Each token crosses
// into a domain once, over the rail, as in the rings of a collective library, and is handed on
// there.
#include "sim/moe/dispatch_parts.hpp"

namespace moesim {

void plan_all_gather(const std::vector<std::int64_t>& tokens,
                     const Domains& domains,
                     CopyBytes copy,
                     LayerTraffic& traffic) {
  plan_hierarchical(full_counts(tokens, domains), domains, copy, traffic);
  merge_messages(traffic.dispatch);
  merge_messages(traffic.combine);
}

}  // namespace moesim
