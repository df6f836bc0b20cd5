// SPDX-License-Identifier: Apache-2.0
// Which replica of an expert serves an assignment: a choice per (source rank, expert) or per
// assignment, made before dispatch. Ranks decide it in the real engines from tables.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sim/moe/domains.hpp"
#include "sim/moe/placement.hpp"
#include "sim/moe/routing.hpp"

namespace moesim {

/// What choices are made from. Refers to both; they outlive it.
struct Placed {
  const Placement& placement;
  const Domains& domains;
  ReplicaRule rule = {};
};

/// kCapacityLimited: assignments of a step that a slot takes before others do.
[[nodiscard]] std::int64_t replica_limit(const ReplicaRule& rule,
                                         std::int64_t assignments,
                                         int slots);

/// Gives assignments their replica, one after the other.
///   kEven             replica (rank + n) mod R for the n-th assignment of (rank, expert): each
///                     source splits its tokens over all R replicas, in turn
///   kNearest          one on the source's rank; else one in its scale-up domain, else any, by a
///                     hash of (rank, expert), so that a pair always meets the same one
///   kLeastLoaded      the replica whose rank has the fewest assignments so far, those of experts
///                     with one slot counted before all others; equal ones by slot
///   kCapacityLimited  the nearest (as above, others of the same distance in turn from the hashed
///                     one) that has fewer than L = ceil(limit * assignments / slots); when all
///                     have, the one with the fewest
/// Source: kEven and kNearest: SGLang's dynamic and static dispatch (a random replica, and the
/// nearest one); vLLM takes a replica by the token's position, as kEven. The other two are ours:
/// kLeastLoaded knows all counts, as LPLB strives to, and no engine can before its tokens are
/// counted. Valid for: any placement. Left out: what the choice itself costs.
/// Checked by: replica_choice_test.
class ReplicaChooser {
 public:
  ReplicaChooser(const Routing& routing, const Placed& placed);
  [[nodiscard]] SlotId choose(std::size_t source, ExpertIndex expert);

 private:
  using Replicas = std::span<const SlotId>;
  [[nodiscard]] SlotId even(std::size_t source, ExpertIndex expert, Replicas replicas);
  [[nodiscard]] SlotId nearest(std::size_t source, ExpertIndex expert, Replicas replicas) const;
  [[nodiscard]] SlotId least_loaded(Replicas replicas) const;
  [[nodiscard]] SlotId limited(std::size_t source, ExpertIndex expert, Replicas replicas) const;
  [[nodiscard]] int distance(std::size_t source, SlotId slot) const;

  const Placement& placement_;
  const Domains& domains_;
  ReplicaRule rule_;
  std::int64_t limit_ = 0;
  std::vector<std::uint32_t> turns_;     ///< kEven: [source * experts + expert]
  std::vector<std::int64_t> rank_load_;  ///< kLeastLoaded
  std::vector<std::int64_t> slot_load_;  ///< kCapacityLimited
};

/// The slot of every assignment, [token * top_k], chosen in token order.
[[nodiscard]] std::vector<SlotId> choose_slots(const Routing& routing, ReplicaChooser& chooser);
[[nodiscard]] std::vector<SlotId> choose_slots(const Routing& routing, const Placed& placed);

}  // namespace moesim
