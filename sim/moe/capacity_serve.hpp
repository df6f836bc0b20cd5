// SPDX-License-Identifier: Apache-2.0
// The policies at work: who is accepted, and by which expert. Not for use outside sim/moe.
#pragma once

#include <vector>

#include "sim/moe/capacity_scopes.hpp"

namespace moesim {

/// Who accepts: the slots of `placement`, or one an expert where there is none.
struct ServedSlots {
  const Placement* placement = nullptr;
  ReplicaChooser* chooser = nullptr;  ///< with replicas: gives those that move a slot

  [[nodiscard]] int count() const { return placement == nullptr ? 0 : placement->num_slots(); }
};

/// The assignments of a scope in order of service, as indices token * top_k + slot.
[[nodiscard]] std::vector<std::size_t> service_order(const Routing& routing,
                                                     const ServedScope& scope,
                                                     ServiceOrder order);

/// kDrop, kPad, kSpill, kNextBest and kReplica: fills accepted.keep, and accepted.experts and slots
/// where assignments may move.
///
/// A scope is served in rounds. In each, the waiting assignments ask in order of service; a slot
/// accepts while it has room in the scope (and the ranks have room under their caps), those refused
/// wait for the next round with another expert:
///   kSpill     assignment in slot s asks slot (s + round) mod top_k of its token
///   kNextBest  the first of its token's candidates that no assignment of the token has asked
///   kReplica   the replica of its expert that is `round` after the first asked, in slot order
/// and are dropped when there is none or all tries are spent.
void serve_in_rounds(const Routing& routing,
                     const CapacitySpec& spec,
                     const ServedSlots& slots,
                     Accepted& accepted);

/// kExpertChoice: each slot takes, of the tokens of a scope that know it as choice or candidate,
/// those of largest gate weight up to its capacity; equal weights in token order. Fills keep,
/// experts and per_token = top_k + candidates.
/// Source: Zhou et al. 2022 (arXiv 2202.09368), for the experts a source knows of each token.
void choose_by_expert(const Routing& routing, const CapacitySpec& spec, Accepted& accepted);

}  // namespace moesim
