// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/placement.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/moe/eplb.hpp"
#include "sim/moe/placement_file.hpp"

namespace moesim {
namespace {

void check_division(int num_experts, int num_ranks) {
  MOESIM_CHECK(num_ranks > 0 && num_experts > 0 && num_experts % num_ranks == 0,
               "the ranks divide the experts");
}

/// Sorts the slots by expert, those of one expert ascending.
void index_slots(const std::vector<ExpertId>& expert_of_slot, Placement& placement) {
  const auto largest = *std::max_element(expert_of_slot.begin(), expert_of_slot.end());
  std::vector<std::size_t>& begin = placement.slot_begin;
  begin.assign(largest.index() + 2, 0);
  for (const ExpertId expert : expert_of_slot) {
    MOESIM_CHECK(expert.value >= 0, "an expert has a number");
    ++begin[expert.index() + 1];
  }
  MOESIM_CHECK(std::find(begin.begin() + 1, begin.end(), 0U) == begin.end(),
               "every expert has a slot");
  std::partial_sum(begin.begin(), begin.end(), begin.begin());
  placement.slots_by_expert.resize(expert_of_slot.size());
  std::vector<std::size_t> next = begin;
  for (std::size_t s = 0; s < expert_of_slot.size(); ++s) {
    placement.slots_by_expert[next[expert_of_slot[s].index()]++] = id_at<SlotId>(s);
  }
}

}  // namespace

Placement contiguous_placement(int num_experts, int num_ranks) {
  check_division(num_experts, num_ranks);
  std::vector<ExpertId> expert_of_slot;
  expert_of_slot.reserve(static_cast<std::size_t>(num_experts));
  for (std::int32_t e = 0; e < num_experts; ++e) {
    expert_of_slot.push_back(ExpertId{e});
  }
  return placement_from_slots(std::move(expert_of_slot), num_ranks);
}

Placement round_robin_placement(int num_experts, int num_ranks) {
  check_division(num_experts, num_ranks);
  std::vector<ExpertId> expert_of_slot;
  for (std::int32_t rank = 0; rank < num_ranks; ++rank) {
    for (std::int32_t e = rank; e < num_experts; e += num_ranks) {
      expert_of_slot.push_back(ExpertId{e});
    }
  }
  return placement_from_slots(std::move(expert_of_slot), num_ranks);
}

Placement placement_from_slots(std::vector<ExpertId> expert_of_slot, int num_ranks) {
  const std::size_t slots = expert_of_slot.size();
  MOESIM_CHECK(num_ranks > 0 && slots > 0 && slots % static_cast<std::size_t>(num_ranks) == 0,
               "every rank has the same number of slots");
  const std::size_t slots_per_rank = slots / static_cast<std::size_t>(num_ranks);
  Placement placement;
  placement.num_ranks = num_ranks;
  for (std::size_t s = 0; s < slots; ++s) {
    placement.rank_of_slot.push_back(id_at<RankId>(s / slots_per_rank));
  }
  index_slots(expert_of_slot, placement);
  placement.expert_of_slot = std::move(expert_of_slot);
  return placement;
}

std::vector<Placement> make_placements(const PlacementSpec& spec,
                                       const PlacementSize& size,
                                       std::uint64_t seed) {
  MOESIM_CHECK(size.layers >= 0, "a model has no negative number of layers");
  MOESIM_CHECK(!is_trained(spec.kind), "this placement is made from loads");
  const auto layers = static_cast<std::size_t>(size.layers);
  std::vector<Placement> placements;
  switch (spec.kind) {
    case PlacementKind::kContiguous:
      return std::vector<Placement>(layers, contiguous_placement(size.experts, size.ranks));
    case PlacementKind::kRoundRobin:
      return std::vector<Placement>(layers, round_robin_placement(size.experts, size.ranks));
    case PlacementKind::kRandom:
      for (int layer = 0; layer < size.layers; ++layer) {
        placements.push_back(random_placement(size.experts, size.ranks, seed, layer));
      }
      break;
    case PlacementKind::kFile:
      return read_placements(spec.file, size);
    case PlacementKind::kGreedy:
    case PlacementKind::kEplb:
      break;
  }
  return placements;
}

}  // namespace moesim
