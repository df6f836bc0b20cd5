// SPDX-License-Identifier: Apache-2.0
// Tables of a placement for loops over assignments. Not for use outside sim/moe.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/moe/domains.hpp"
#include "sim/moe/placement.hpp"

namespace moesim {

/// Where a slot lies.
struct Seat {
  std::uint32_t rank = 0;
  std::uint32_t domain = 0;
};

/// By slot.
[[nodiscard]] inline std::vector<Seat> seats(const Placement& placement, const Domains& domains) {
  std::vector<Seat> result;
  for (const RankId rank : placement.rank_of_slot) {
    result.push_back({.rank = static_cast<std::uint32_t>(rank.index()),
                      .domain = static_cast<std::uint32_t>(domains.of_rank[rank.index()])});
  }
  return result;
}

/// The first slot of every expert: its only one where none has replicas.
[[nodiscard]] inline std::vector<std::uint32_t> first_slots(const Placement& placement) {
  std::vector<std::uint32_t> slots;
  for (int e = 0; e < placement.num_experts(); ++e) {
    slots.push_back(static_cast<std::uint32_t>(placement.slots_of(ExpertId{e}).front().index()));
  }
  return slots;
}

}  // namespace moesim
