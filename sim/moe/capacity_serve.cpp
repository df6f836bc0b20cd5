// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/capacity_serve.hpp"

#include <algorithm>
#include <cstdint>
#include <numeric>

#include "sim/core/check.hpp"
#include "sim/moe/seats.hpp"

namespace moesim {
namespace {

/// An assignment that asks an expert.
struct Asking {
  std::uint32_t assignment = 0;
  std::uint32_t rank = 0;
};

/// What slots and ranks still take.
class Room {
 public:
  Room(const Routing& routing, const CapacitySpec& spec, const Placement* placement)
      : spec_(spec),
        placement_(spec.has_caps() ? placement : nullptr),
        taken_(static_cast<std::size_t>(placement != nullptr ? placement->num_slots()
                                                             : routing.num_experts)),
        sent_(static_cast<std::size_t>(routing.num_ranks())),
        received_(sent_.size()) {
    MOESIM_CHECK(!spec.has_caps() || placement != nullptr, "caps need a placement");
  }

  void open_scope(std::int64_t capacity) {
    capacity_ = capacity;
    std::fill(taken_.begin(), taken_.end(), 0);
  }

  /// Takes one assignment of `source` if there is room.
  bool admit(std::size_t source, std::size_t slot) {
    const bool fits =
        taken_[slot] < capacity_ && (placement_ == nullptr || admit_under_caps(source, slot));
    taken_[slot] += fits ? 1 : 0;
    return fits;
  }

  /// What admit looks at where there are no caps, for loops that hold it in registers.
  struct Counts {
    std::int64_t* taken;  ///< by slot
    std::int64_t capacity;
    bool admit(std::size_t slot) const {
      const bool fits = taken[slot] < capacity;
      taken[slot] += fits ? 1 : 0;
      return fits;
    }
  };
  [[nodiscard]] Counts counts() { return {taken_.data(), capacity_}; }

 private:
  bool admit_under_caps(std::size_t source, std::size_t slot) {
    const std::size_t rank = placement_->rank_of_slot[slot].index();
    const bool leaves = rank != source;
    if ((spec_.sender_cap > 0 && leaves && sent_[source] >= spec_.sender_cap) ||
        (spec_.receiver_cap > 0 && received_[rank] >= spec_.receiver_cap)) {
      return false;
    }
    sent_[source] += leaves ? 1 : 0;
    ++received_[rank];
    return true;
  }

  const CapacitySpec& spec_;
  const Placement* placement_;
  std::int64_t capacity_ = 0;
  std::vector<std::int64_t> taken_;  ///< by slot
  std::vector<std::int64_t> sent_;
  std::vector<std::int64_t> received_;
};

int most_replicas(const Placement* placement) {
  std::size_t most = 1;
  for (int e = 0; placement != nullptr && e < placement->num_experts(); ++e) {
    most = std::max(most, placement->slots_of(ExpertId{e}).size());
  }
  return static_cast<int>(most);
}

/// By expert: its first slot; without a placement its own number.
std::vector<std::uint32_t> asked_slots(const Routing& routing, const Placement* placement) {
  if (placement != nullptr) {
    return first_slots(*placement);
  }
  std::vector<std::uint32_t> slots(static_cast<std::size_t>(routing.num_experts));
  std::iota(slots.begin(), slots.end(), 0U);
  return slots;
}

class Server {
 public:
  Server(const Routing& routing,
         const CapacitySpec& spec,
         const ServedSlots& slots,
         Accepted& accepted)
      : routing_(routing),
        spec_(spec),
        slots_(slots),
        accepted_(accepted),
        room_(routing, spec, slots.placement),
        top_k_(static_cast<std::size_t>(routing.top_k)),
        rounds_(rounds(routing, spec, slots.placement)),
        is_plain_(!spec.has_caps() && slots.chooser == nullptr && accepted.slots.empty() &&
                  spec.policy != OverflowPolicy::kReplica),
        first_slot_(asked_slots(routing, slots.placement)) {
    accepted.keep.assign(routing.experts.size(), 0);
    if (rounds_ > 0 && spec.policy != OverflowPolicy::kReplica) {
      accepted.experts = routing.experts;
    }
    if (spec.policy == OverflowPolicy::kReplica) {
      first_slots_ = accepted.slots;
    }
    if (spec.policy == OverflowPolicy::kNextBest) {
      next_candidate_.resize(static_cast<std::size_t>(routing.num_tokens()));
    }
  }

  void serve(const ServedScope& scope) {
    room_.open_scope(scope_capacity(routing_, spec_.factor, scope, slots_.count()));
    std::size_t waiting = first_round(scope);
    for (int round = 1; round <= rounds_ && waiting > 0; ++round) {
      waiting = ask_again(waiting, round);
    }
  }

 private:
  static int rounds(const Routing& routing, const CapacitySpec& spec, const Placement* placement) {
    int most = 0;
    if (spec.policy == OverflowPolicy::kSpill) {
      most = routing.top_k - 1;
    } else if (spec.policy == OverflowPolicy::kNextBest) {
      most = routing.num_candidates;
    } else if (spec.policy == OverflowPolicy::kReplica) {
      most = most_replicas(placement) - 1;
    }
    return spec.tries > 0 ? std::min(spec.tries, most) : most;
  }

  /// Serves every assignment once; the first so many of waiting_ are then refused.
  std::size_t first_round(const ServedScope& scope) {
    if (rounds_ > 0) {
      const std::size_t most = static_cast<std::size_t>(scope.tokens) * top_k_ + 1;
      waiting_.resize(std::max(waiting_.size(), most));
    }
    if (is_plain_ && spec_.order == ServiceOrder::kToken) {
      return first_plain_round(scope);
    }
    std::size_t refused = 0;
    const auto offer = [&](std::size_t assignment, std::size_t rank) {
      const bool fits = room_.admit(rank, slot_of(assignment, routing_.experts[assignment]));
      accepted_.keep[assignment] = fits ? 1 : 0;
      if (!fits && rounds_ > 0) {
        waiting_[refused++] = asking(assignment, rank);
      }
    };
    if (spec_.order == ServiceOrder::kWeight) {
      for (const std::size_t a : service_order(routing_, scope, spec_.order)) {
        offer(a, rank_of(a / top_k_));
      }
      return refused;
    }
    for (const TokenRange& range : scope.ranges) {
      const std::size_t end = static_cast<std::size_t>(range.end) * top_k_;
      for (std::size_t a = static_cast<std::size_t>(range.begin) * top_k_; a < end; ++a) {
        offer(a, static_cast<std::size_t>(range.rank));
      }
    }
    return refused;
  }

  /// first_round without caps, replicas and weights: no branch depends on the data.
  std::size_t first_plain_round(const ServedScope& scope) {
    const Room::Counts room = room_.counts();
    const ExpertIndex* const experts = routing_.experts.data();
    const std::uint32_t* const slots = first_slot_.data();
    std::uint8_t* const keep = accepted_.keep.data();
    Asking nobody;
    Asking* waiting = rounds_ > 0 ? waiting_.data() : &nobody;
    const std::size_t step = rounds_ > 0 ? 1 : 0;
    for (const TokenRange& range : scope.ranges) {
      const std::size_t end = static_cast<std::size_t>(range.end) * top_k_;
      for (std::size_t a = static_cast<std::size_t>(range.begin) * top_k_; a < end; ++a) {
        const bool fits = room.admit(slots[experts[a]]);
        keep[a] = fits ? 1 : 0;
        *waiting = asking(a, static_cast<std::size_t>(range.rank));
        waiting += fits ? 0 : step;
      }
    }
    return rounds_ > 0 ? static_cast<std::size_t>(waiting - waiting_.data()) : 0;
  }

  static Asking asking(std::size_t assignment, std::size_t rank) {
    return {static_cast<std::uint32_t>(assignment), static_cast<std::uint32_t>(rank)};
  }

  /// A round after the first, of the first `waiting` in waiting_; how many are left there. All turn
  /// to their next expert before any is served.
  std::size_t ask_again(std::size_t waiting, int round) {
    std::size_t asking = 0;
    for (std::size_t w = 0; w < waiting; ++w) {
      const bool has_another = ask_another(waiting_[w], round);
      waiting_[asking] = waiting_[w];
      asking += has_another ? 1 : 0;
    }
    return is_plain_ ? serve_plain(asking) : serve_waiting(asking);
  }

  std::size_t serve_waiting(std::size_t asking) {
    const bool by_slot = spec_.policy == OverflowPolicy::kReplica;
    const std::vector<ExpertIndex>& experts = by_slot ? routing_.experts : accepted_.experts;
    std::size_t refused = 0;
    for (std::size_t w = 0; w < asking; ++w) {
      const Asking a = waiting_[w];
      const bool fits = room_.admit(a.rank, slot_of(a.assignment, experts[a.assignment]));
      accepted_.keep[a.assignment] = fits ? 1 : 0;
      accepted_.diverted += by_slot && fits ? 1 : 0;
      waiting_[refused] = a;
      refused += fits ? 0 : 1;
    }
    return refused;
  }

  std::size_t serve_plain(std::size_t asking) {
    const Room::Counts room = room_.counts();
    const ExpertIndex* const experts = accepted_.experts.data();
    const std::uint32_t* const slots = first_slot_.data();
    std::uint8_t* const keep = accepted_.keep.data();
    Asking* const waiting = waiting_.data();
    std::size_t refused = 0;
    for (std::size_t w = 0; w < asking; ++w) {
      const Asking a = waiting[w];
      const bool fits = room.admit(slots[experts[a.assignment]]);
      keep[a.assignment] = fits ? 1 : 0;
      waiting[refused] = a;
      refused += fits ? 0 : 1;
    }
    return refused;
  }

  /// Where an assignment asks its expert.
  [[nodiscard]] std::size_t slot_of(std::size_t assignment, ExpertIndex expert) const {
    return accepted_.slots.empty() ? first_slot_[expert] : accepted_.slots[assignment].index();
  }

  /// Turns a refused assignment to its next expert or replica; false when it has none.
  bool ask_another(const Asking& asking, int round) {
    const std::size_t assignment = asking.assignment;
    if (spec_.policy == OverflowPolicy::kReplica) {
      return ask_replica(assignment, static_cast<std::size_t>(round));
    }
    const std::size_t token = asking.assignment / static_cast<std::uint32_t>(top_k_);
    if (spec_.policy == OverflowPolicy::kSpill) {
      const std::size_t first = token * top_k_;
      const std::size_t slot = assignment - first + static_cast<std::size_t>(round);
      accepted_.experts[assignment] =
          routing_.experts[first + (slot < top_k_ ? slot : slot - top_k_)];
    } else {
      const auto candidates = static_cast<std::size_t>(routing_.num_candidates);
      if (next_candidate_[token] == candidates) {
        return false;
      }
      accepted_.experts[assignment] =
          routing_.candidates[token * candidates + next_candidate_[token]++];
    }
    if (slots_.chooser != nullptr) {
      accepted_.slots[assignment] =
          slots_.chooser->choose(asking.rank, accepted_.experts[assignment]);
    }
    return true;
  }

  bool ask_replica(std::size_t assignment, std::size_t round) {
    const auto replicas = slots_.placement->slots_of(ExpertId{routing_.experts[assignment]});
    if (first_slots_.empty() || round >= replicas.size()) {
      return false;
    }
    const auto first = std::find(replicas.begin(), replicas.end(), first_slots_[assignment]);
    const auto at = static_cast<std::size_t>(first - replicas.begin()) + round;
    accepted_.slots[assignment] = replicas[at % replicas.size()];
    return true;
  }

  [[nodiscard]] std::size_t rank_of(std::size_t token) const {
    const auto& begin = routing_.token_begin;
    const auto after =
        std::upper_bound(begin.begin(), begin.end(), static_cast<std::int32_t>(token));
    return static_cast<std::size_t>(after - begin.begin()) - 1;
  }

  const Routing& routing_;
  const CapacitySpec& spec_;
  const ServedSlots& slots_;
  Accepted& accepted_;
  Room room_;
  std::size_t top_k_;
  int rounds_;
  bool is_plain_;                            ///< room and slots depend on nothing but the expert
  std::vector<std::uint32_t> first_slot_;    ///< by expert
  std::vector<Asking> waiting_;              ///< of the scope being served; reused
  std::vector<std::size_t> next_candidate_;  ///< by token
  std::vector<SlotId> first_slots_;          ///< kReplica with replicas: before any move
};

}  // namespace

std::vector<std::size_t> service_order(const Routing& routing,
                                       const ServedScope& scope,
                                       ServiceOrder order) {
  std::vector<std::size_t> assignments;
  const auto top_k = static_cast<std::size_t>(routing.top_k);
  assignments.reserve(static_cast<std::size_t>(scope.tokens) * top_k);
  for (const TokenRange& range : scope.ranges) {
    const std::size_t end = static_cast<std::size_t>(range.end) * top_k;
    for (std::size_t a = static_cast<std::size_t>(range.begin) * top_k; a < end; ++a) {
      assignments.push_back(a);
    }
  }
  if (order == ServiceOrder::kWeight) {
    MOESIM_CHECK(routing.has_weights() || routing.experts.empty(),
                 "service by weight needs gate weights");
    std::stable_sort(assignments.begin(), assignments.end(), [&](std::size_t a, std::size_t b) {
      return routing.weights[a] > routing.weights[b];
    });
  }
  return assignments;
}

void serve_in_rounds(const Routing& routing,
                     const CapacitySpec& spec,
                     const ServedSlots& slots,
                     Accepted& accepted) {
  Server server(routing, spec, slots, accepted);
  for (const ServedScope& scope : served_scopes(routing, spec)) {
    server.serve(scope);
  }
}

}  // namespace moesim
