// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/replica_choice.hpp"

#include <algorithm>
#include <cmath>

#include "sim/core/check.hpp"
#include "sim/core/rng.hpp"

namespace moesim {
namespace {

constexpr int kDistances = 3;  // own rank, own domain, elsewhere

}  // namespace

std::int64_t replica_limit(const ReplicaRule& rule, std::int64_t assignments, int slots) {
  return static_cast<std::int64_t>(
      std::ceil(rule.limit * static_cast<double>(assignments) / static_cast<double>(slots)));
}

ReplicaChooser::ReplicaChooser(const Routing& routing, const Placed& placed)
    : placement_(placed.placement), domains_(placed.domains), rule_(placed.rule) {
  MOESIM_CHECK(placement_.num_experts() == routing.num_experts,
               "routing and placement: experts differ");
  MOESIM_CHECK(domains_.of_rank.size() == static_cast<std::size_t>(placement_.num_ranks),
               "every rank lies in a domain");
  const auto experts = static_cast<std::size_t>(placement_.num_experts());
  switch (rule_.choice) {
    case ReplicaChoice::kEven:
      turns_.resize(experts * static_cast<std::size_t>(placement_.num_ranks));
      break;
    case ReplicaChoice::kNearest:
      break;
    case ReplicaChoice::kLeastLoaded:
      rank_load_.resize(static_cast<std::size_t>(placement_.num_ranks));
      for (const ExpertIndex expert : routing.experts) {
        const Replicas replicas = placement_.slots_of(ExpertId{expert});
        if (replicas.size() == 1) {
          ++rank_load_[placement_.rank_of(replicas.front()).index()];
        }
      }
      break;
    case ReplicaChoice::kCapacityLimited:
      slot_load_.resize(static_cast<std::size_t>(placement_.num_slots()));
      limit_ = replica_limit(
          rule_, static_cast<std::int64_t>(routing.experts.size()), placement_.num_slots());
      break;
  }
}

SlotId ReplicaChooser::choose(std::size_t source, ExpertIndex expert) {
  const Replicas replicas = placement_.slots_of(ExpertId{expert});
  if (replicas.size() == 1) {
    return replicas.front();
  }
  switch (rule_.choice) {
    case ReplicaChoice::kEven:
      return even(source, expert, replicas);
    case ReplicaChoice::kNearest:
      return nearest(source, expert, replicas);
    case ReplicaChoice::kLeastLoaded: {
      const SlotId slot = least_loaded(replicas);
      ++rank_load_[placement_.rank_of(slot).index()];
      return slot;
    }
    case ReplicaChoice::kCapacityLimited: {
      const SlotId slot = limited(source, expert, replicas);
      ++slot_load_[slot.index()];
      return slot;
    }
  }
  MOESIM_CHECK(false, "unknown replica choice");
}

SlotId ReplicaChooser::even(std::size_t source, ExpertIndex expert, Replicas replicas) {
  std::uint32_t& turn =
      turns_[source * static_cast<std::size_t>(placement_.num_experts()) + expert];
  return replicas[(source + turn++) % replicas.size()];
}

int ReplicaChooser::distance(std::size_t source, SlotId slot) const {
  const std::size_t rank = placement_.rank_of(slot).index();
  if (rank == source) {
    return 0;
  }
  return domains_.of_rank[rank] == domains_.of_rank[source] ? 1 : 2;
}

SlotId ReplicaChooser::nearest(std::size_t source, ExpertIndex expert, Replicas replicas) const {
  for (int d = 0; d < kDistances; ++d) {
    const auto at = [&](SlotId slot) { return distance(source, slot) == d; };
    const auto count =
        static_cast<std::uint64_t>(std::count_if(replicas.begin(), replicas.end(), at));
    if (count > 0) {
      std::uint64_t skip = mix_hash(source, expert) % count;
      for (const SlotId slot : replicas) {
        if (at(slot) && skip-- == 0) {
          return slot;
        }
      }
    }
  }
  MOESIM_CHECK(false, "an expert has a slot");
}

SlotId ReplicaChooser::least_loaded(Replicas replicas) const {
  return *std::min_element(replicas.begin(), replicas.end(), [&](SlotId a, SlotId b) {
    return rank_load_[placement_.rank_of(a).index()] < rank_load_[placement_.rank_of(b).index()];
  });
}

SlotId ReplicaChooser::limited(std::size_t source, ExpertIndex expert, Replicas replicas) const {
  const std::size_t first = mix_hash(source, expert) % replicas.size();
  for (int d = 0; d < kDistances; ++d) {
    for (std::size_t i = 0; i < replicas.size(); ++i) {
      const SlotId slot = replicas[(first + i) % replicas.size()];
      if (distance(source, slot) == d && slot_load_[slot.index()] < limit_) {
        return slot;
      }
    }
  }
  return *std::min_element(replicas.begin(), replicas.end(), [&](SlotId a, SlotId b) {
    return slot_load_[a.index()] < slot_load_[b.index()];
  });
}

std::vector<SlotId> choose_slots(const Routing& routing, ReplicaChooser& chooser) {
  std::vector<SlotId> slots;
  slots.reserve(routing.experts.size());
  for (std::size_t source = 0; source + 1 < routing.token_begin.size(); ++source) {
    const auto end = static_cast<std::size_t>(routing.token_begin[source + 1]) *
                     static_cast<std::size_t>(routing.top_k);
    while (slots.size() < end) {
      slots.push_back(chooser.choose(source, routing.experts[slots.size()]));
    }
  }
  return slots;
}

std::vector<SlotId> choose_slots(const Routing& routing, const Placed& placed) {
  ReplicaChooser chooser(routing, placed);
  return choose_slots(routing, chooser);
}

}  // namespace moesim
