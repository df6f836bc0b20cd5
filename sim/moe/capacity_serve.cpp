// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/capacity_serve.hpp"

#include <algorithm>
#include <cstdint>

#include "sim/core/check.hpp"

namespace moesim {
namespace {

/// An assignment that asks an expert.
struct Asking {
  std::size_t assignment = 0;
  std::size_t rank = 0;
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
    if (taken_[slot] >= capacity_) {
      return false;
    }
    if (placement_ != nullptr && !admit_under_caps(source, slot)) {
      return false;
    }
    ++taken_[slot];
    return true;
  }

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
std::vector<std::uint32_t> first_slots(int experts, const Placement* placement) {
  std::vector<std::uint32_t> slots(static_cast<std::size_t>(experts));
  for (int e = 0; e < experts; ++e) {
    slots[static_cast<std::size_t>(e)] = static_cast<std::uint32_t>(
        placement != nullptr ? placement->slots_of(ExpertId{e}).front().index()
                             : static_cast<std::size_t>(e));
  }
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
        first_slot_(first_slots(routing.num_experts, slots.placement)) {
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
    std::vector<Asking> waiting = first_round(scope);
    for (int round = 1; round <= rounds_ && !waiting.empty(); ++round) {
      std::erase_if(waiting, [&](const Asking& a) { return !ask_another(a, round); });
      ask(waiting);
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

  /// Serves every assignment once and returns those refused.
  std::vector<Asking> first_round(const ServedScope& scope) {
    std::vector<Asking> refused;
    const auto offer = [&](std::size_t assignment, std::size_t rank) {
      const bool fits = room_.admit(rank, slot_of(assignment, routing_.experts[assignment]));
      accepted_.keep[assignment] = fits ? 1 : 0;
      if (!fits && rounds_ > 0) {
        refused.push_back({assignment, rank});
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

  void ask(std::vector<Asking>& waiting) {
    const bool by_slot = spec_.policy == OverflowPolicy::kReplica;
    std::erase_if(waiting, [&](const Asking& a) {
      const ExpertIndex expert =
          by_slot ? routing_.experts[a.assignment] : accepted_.experts[a.assignment];
      const bool fits = room_.admit(a.rank, slot_of(a.assignment, expert));
      accepted_.keep[a.assignment] = fits ? 1 : 0;
      accepted_.diverted += by_slot && fits ? 1 : 0;
      return fits;
    });
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
    const std::size_t token = assignment / top_k_;
    if (spec_.policy == OverflowPolicy::kSpill) {
      const std::size_t slot = assignment % top_k_ + static_cast<std::size_t>(round);
      accepted_.experts[assignment] = routing_.experts[token * top_k_ + slot % top_k_];
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
  std::vector<std::uint32_t> first_slot_;    ///< by expert
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
