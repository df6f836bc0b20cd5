// SPDX-License-Identifier: Apache-2.0
// Where the experts of a layer lie: slot -> (logical expert, rank).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/core/ids.hpp"

namespace moesim {

/// The physical slots of one MoE layer.
struct Placement {
  int num_ranks = 0;
  std::vector<ExpertId> expert_of_slot;  ///< by SlotId
  std::vector<RankId> rank_of_slot;      ///< by SlotId
  std::vector<SlotId> slot_of_expert;    ///< by ExpertId; every expert has exactly one slot

  [[nodiscard]] int num_slots() const { return static_cast<int>(rank_of_slot.size()); }
};

enum class PlacementKind { kContiguous, kRoundRobin, kFile };

/// [placement]
struct PlacementSpec {
  PlacementKind kind = PlacementKind::kContiguous;
  std::string
      file;  ///< kFile: JSON with "physical_to_logical_map" [layers][slots], slots in rank order
};

/// Expert e on rank e / (num_experts / num_ranks). num_ranks divides num_experts.
[[nodiscard]] Placement contiguous_placement(int num_experts, int num_ranks);

/// Expert e on rank e % num_ranks. num_ranks divides num_experts.
[[nodiscard]] Placement round_robin_placement(int num_experts, int num_ranks);

/// The same number of slots on every rank, slots in rank order. Each expert from 0 to the number of
/// slots - 1 appears once.
[[nodiscard]] Placement placement_from_slots(std::vector<ExpertId> expert_of_slot, int num_ranks);

/// One placement per MoE layer. kContiguous and kRoundRobin need num_ranks to divide num_experts.
/// kFile throws EnvironmentError when the file cannot be read, UserError when it does not fit the
/// model or the ranks.
[[nodiscard]] std::vector<Placement> make_placements(const PlacementSpec& spec,
                                                     int num_layers,
                                                     int num_experts,
                                                     int num_ranks);

}  // namespace moesim
