// SPDX-License-Identifier: Apache-2.0
// Capacity: how many assignments a slot accepts, and what happens to the rest.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "sim/moe/routing.hpp"

namespace moesim {

enum class OverflowPolicy {
  kNone,  ///< dropless: every assignment is accepted
  kDrop,  ///< assignments beyond the capacity are dropped
};

enum class CapacityScope {
  kRank,   ///< each slot accepts C assignments from each source rank
  kGroup,  ///< each slot accepts C assignments from the whole expert-parallel group
};

/// [capacity]
struct CapacitySpec {
  OverflowPolicy policy = OverflowPolicy::kNone;
  double factor = 1.0;  ///< > 0, ignored by kNone
  CapacityScope scope = CapacityScope::kRank;
};

/// Assignments a slot accepts per scope: ceil(factor * tokens * top_k / slots).
/// `tokens` are the tokens of the scope (one rank's or the group's). At least 1 when tokens > 0.
/// Source: GShard (Lepikhin et al. 2020), eq. of section 2.2, with top_k written out.
/// Valid for: one slot per expert. Checked by: capacity_test.
[[nodiscard]] std::int64_t slot_capacity(double factor, std::int64_t tokens, int top_k, int slots);

/// What the policy left of a routing.
struct Accepted {
  std::vector<std::uint8_t> keep;  ///< [token * top_k], 1 = accepted; empty: all are
  std::int64_t assignments = 0;    ///< before the policy
  std::int64_t dropped = 0;
  double weight = 0.0;  ///< sum of gate weights before the policy, 0 without weights
  std::optional<double> dropped_weight;  ///< absent when the source has no gate weights

  [[nodiscard]] bool is_kept(std::size_t assignment) const {
    return keep.empty() || keep[assignment] != 0;
  }
};

/// Applies the policy; assignments are served in token order, slots of a token in their order.
[[nodiscard]] Accepted apply_capacity(const Routing& routing, const CapacitySpec& spec);

}  // namespace moesim
