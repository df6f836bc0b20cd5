// SPDX-License-Identifier: Apache-2.0
// Capacity: how many assignments a slot accepts, and what happens to the rest.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "sim/core/units.hpp"
#include "sim/moe/placement.hpp"
#include "sim/moe/replica_choice.hpp"
#include "sim/moe/routing.hpp"

namespace moesim {

enum class OverflowPolicy {
  kNone,          ///< dropless: every assignment is accepted
  kDrop,          ///< assignments beyond the capacity are dropped
  kSpill,         ///< they ask the token's other chosen experts, next slot first
  kNextBest,      ///< they ask the experts that the token would have chosen after its top_k
  kPad,           ///< kDrop, and every slot computes and is sent its full capacity (static shapes)
  kExpertChoice,  ///< each slot takes the tokens of largest gate weight, up to its capacity
  kReplica,       ///< they ask the other replicas of the same expert, then are dropped
};

/// Whose tokens share one capacity.
enum class CapacityScope {
  kRank,        ///< those of one source rank
  kGroup,       ///< those of all ranks of the expert-parallel group in one micro-batch
  kMicroBatch,  ///< those of one source rank in one micro-batch
  kGlobal,      ///< those of all ranks and micro-batches
};

/// Who is served first inside a scope.
enum class ServiceOrder {
  kToken,   ///< tokens in order, slots of a token in theirs
  kWeight,  ///< largest gate weight first, equal ones in token order
};

/// Their names in scenarios and reports, in the order of the enumerators.
[[nodiscard]] std::span<const std::string_view> overflow_policy_words();
[[nodiscard]] std::span<const std::string_view> capacity_scope_words();
[[nodiscard]] std::string_view to_text(OverflowPolicy policy);
[[nodiscard]] std::string_view to_text(CapacityScope scope);

/// [capacity]
struct CapacitySpec {
  OverflowPolicy policy = OverflowPolicy::kNone;
  double factor = 1.0;  ///< > 0, ignored by kNone
  CapacityScope scope = CapacityScope::kRank;
  ServiceOrder order = ServiceOrder::kToken;
  int micro_batches = 1;  ///< equal parts of each rank's tokens, in order
  int tries =
      0;  ///< kSpill, kNextBest, kReplica: experts or replicas asked after the first, 0: all
  std::int64_t sender_cap = 0;    ///< assignments a rank may send to others in a layer, 0: any
  std::int64_t receiver_cap = 0;  ///< assignments a rank may accept in a layer, 0: any
  Bytes sender_bytes = {};        ///< sender_cap as a buffer of dispatched rows; 0: none is stated
  Bytes receiver_bytes = {};      ///< receiver_cap so

  [[nodiscard]] bool has_caps() const { return sender_cap > 0 || receiver_cap > 0; }
};

/// Policies that need Routing::candidates.
[[nodiscard]] constexpr bool needs_candidates(OverflowPolicy policy) {
  return policy == OverflowPolicy::kNextBest || policy == OverflowPolicy::kExpertChoice;
}

/// Policies whose refused assignments ask again elsewhere.
[[nodiscard]] constexpr bool moves_on(OverflowPolicy policy) {
  return policy == OverflowPolicy::kSpill || policy == OverflowPolicy::kNextBest ||
         policy == OverflowPolicy::kReplica;
}

/// Assignments a slot accepts per scope: ceil(factor * tokens * top_k / slots).
/// `tokens` are the tokens of the scope (one rank's or the group's). At least 1 when tokens > 0.
/// Source: GShard (Lepikhin et al. 2020), eq. of section 2.2, with top_k written out.
/// Valid for: any number of replicas, which are slots of their own. Checked by: capacity_test.
[[nodiscard]] std::int64_t slot_capacity(double factor, std::int64_t tokens, int top_k, int slots);

/// What the policy left of a routing.
struct Accepted {
  /// [token * per_token], 1 = accepted; empty: all are
  std::vector<std::uint8_t> keep;
  std::int64_t assignments = 0;  ///< before the policy
  std::int64_t dropped = 0;      ///< accepted by no expert (kExpertChoice: not by the one chosen)
  double weight = 0.0;           ///< sum of gate weights before the policy, 0 without weights
  std::optional<double> dropped_weight;  ///< absent when the source has no gate weights

  /// Where each assignment ends, [token * per_token]; empty: where the routing sent it.
  std::vector<ExpertIndex> experts;
  int per_token = 0;  ///< entries a token, 0: the routing's top_k
  /// The slot that serves each assignment, [token * top_k]; empty without replicas.
  std::vector<SlotId> slots = {};
  std::int64_t diverted = 0;  ///< accepted by another expert (kReplica: slot) than the first asked
  std::int64_t tokens = 0;    ///< before the policy
  std::int64_t lost_tokens = 0;   ///< of them, those that no expert accepts
  std::int64_t padding_rows = 0;  ///< kPad: rows that slots compute without a token

  [[nodiscard]] bool is_kept(std::size_t assignment) const {
    return keep.empty() || keep[assignment] != 0;
  }
};

/// Applies the policy (docs/models.md, Capacity). `placement` is needed for caps only, and has no
/// replicas.
/// kNextBest and kExpertChoice need routing.candidates, kExpertChoice and ServiceOrder::kWeight
/// gate weights.
[[nodiscard]] Accepted apply_capacity(const Routing& routing,
                                      const CapacitySpec& spec,
                                      const Placement* placement = nullptr);

/// The same where experts may have replicas: each assignment asks the one that choose_slots gives
/// it, and one that moves to another expert the one that the rule gives it then. Not with
/// kExpertChoice: experts then choose tokens, and no rule says for which replica.
[[nodiscard]] Accepted apply_capacity(const Routing& routing,
                                      const CapacitySpec& spec,
                                      const Placed& placed);

/// kPad: rows that each source rank sends to every slot, the capacities of its scopes added up.
/// @pre spec.scope is kRank or kMicroBatch   @param slots  of the layer, 0: one an expert
[[nodiscard]] std::vector<std::int64_t> padded_rows(const Routing& routing,
                                                    const CapacitySpec& spec,
                                                    int slots = 0);

/// kPad: rows that slots compute without a token, all slots together.
[[nodiscard]] std::int64_t padding(const Routing& routing,
                                   const CapacitySpec& spec,
                                   const Accepted& accepted,
                                   int slots = 0);

}  // namespace moesim
