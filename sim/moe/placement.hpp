// SPDX-License-Identifier: Apache-2.0
// Where the experts of a layer lie: slot -> (logical expert, rank).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "sim/core/ids.hpp"

namespace moesim {

/// The physical slots of one MoE layer. Every rank has the same number of slots, slots lie in rank
/// order, and every expert has at least one slot. placement_from_slots builds it.
struct Placement {
  int num_ranks = 0;
  std::vector<ExpertId> expert_of_slot;  ///< by SlotId
  std::vector<RankId> rank_of_slot;      ///< by SlotId
  std::vector<std::size_t> slot_begin;   ///< [experts + 1] into slots_by_expert
  std::vector<SlotId> slots_by_expert;   ///< the slots of expert 0, of expert 1, ...

  [[nodiscard]] int num_slots() const { return static_cast<int>(rank_of_slot.size()); }
  [[nodiscard]] int num_experts() const {
    return slot_begin.empty() ? 0 : static_cast<int>(slot_begin.size()) - 1;
  }
  [[nodiscard]] int slots_per_rank() const { return num_ranks > 0 ? num_slots() / num_ranks : 0; }
  /// The slots of one expert, ascending; its replicas.
  [[nodiscard]] std::span<const SlotId> slots_of(ExpertId expert) const {
    const std::size_t first = slot_begin[expert.index()];
    return std::span(slots_by_expert).subspan(first, slot_begin[expert.index() + 1] - first);
  }
  [[nodiscard]] RankId rank_of(SlotId slot) const { return rank_of_slot[slot.index()]; }
  /// Whether an expert has more than one slot.
  [[nodiscard]] bool has_replicas() const { return num_slots() > num_experts(); }
};

/// Which replica of an expert serves an assignment (sim/moe/replica_choice.hpp).
enum class ReplicaChoice {
  kEven,             ///< each source rank takes them in turn
  kNearest,          ///< own rank, else own scale-up domain, else any, the same one each time
  kLeastLoaded,      ///< the one whose rank has the fewest assignments so far
  kCapacityLimited,  ///< the nearest one below its share, then the emptiest
};

struct ReplicaRule {
  ReplicaChoice choice = ReplicaChoice::kEven;
  double limit = 1.0;  ///< kCapacityLimited: share of a slot, in mean assignments of a slot
};

enum class PlacementKind { kContiguous, kRoundRobin, kFile, kRandom, kGreedy, kEplb };

/// [placement]
struct PlacementSpec {
  PlacementKind kind = PlacementKind::kContiguous;
  std::string
      file;  ///< kFile: JSON with "physical_to_logical_map" [layers][slots], slots in rank order
  ReplicaRule replicas = {};
  int slots = 0;        ///< kEplb: slots of a layer over all ranks, 0: one an expert
  int groups = 1;       ///< kEplb: groups of experts that a token's choice keeps to
  int train_first = 0;  ///< kGreedy, kEplb: first step of the window whose loads they take
  int train_steps = 8;  ///< and how many
};

/// Kinds that are made from the loads of a window of the routing.
[[nodiscard]] constexpr bool is_trained(PlacementKind kind) {
  return kind == PlacementKind::kGreedy || kind == PlacementKind::kEplb;
}

/// Expert e on rank e / (num_experts / num_ranks). num_ranks divides num_experts.
[[nodiscard]] Placement contiguous_placement(int num_experts, int num_ranks);

/// Expert e on rank e % num_ranks. num_ranks divides num_experts.
[[nodiscard]] Placement round_robin_placement(int num_experts, int num_ranks);

/// The same number of slots on every rank, slots in rank order. Each expert from 0 to the largest
/// appears at least once.
[[nodiscard]] Placement placement_from_slots(std::vector<ExpertId> expert_of_slot, int num_ranks);

struct PlacementSize;

/// One placement per MoE layer, kinds that need no loads. kContiguous, kRoundRobin and kRandom need
/// size.ranks to divide size.experts; kRandom draws each layer from `seed`. kFile throws
/// EnvironmentError when the file cannot be read, UserError when it does not fit.
[[nodiscard]] std::vector<Placement> make_placements(const PlacementSpec& spec,
                                                     const PlacementSize& size,
                                                     std::uint64_t seed = 1);

}  // namespace moesim
