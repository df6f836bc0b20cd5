// SPDX-License-Identifier: Apache-2.0
// Dispatchers against a recount of the routing, token by token, with sets.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <tuple>
#include <utility>

#include "sim/core/rng.hpp"
#include "sim/moe/dispatch.hpp"

namespace moesim {
namespace {

constexpr int kNumDispatchers = 9;
constexpr CopyBytes kCopy{.payload = 90, .scales = 6, .indices = 4, .combine = 70};

struct Case {
  Routing routing;
  Accepted accepted;
  Placement placement;
  DispatchSetup setup;
};

std::vector<ExpertIndex> random_deck(int experts, RngStream& rng) {
  std::vector<ExpertIndex> deck(static_cast<std::size_t>(experts));
  std::iota(deck.begin(), deck.end(), ExpertIndex{0});
  shuffle(std::span(deck), rng);
  return deck;
}

/// Contiguous, round-robin, or every expert once and some again, in any order.
Placement random_placement_of(int experts, int ranks, RngStream& rng) {
  const std::uint64_t kind = rng.below(3);
  if (kind < 2) {
    return kind == 0 ? contiguous_placement(experts, ranks) : round_robin_placement(experts, ranks);
  }
  std::vector<ExpertId> slots;
  for (int e = 0; e < experts; ++e) {
    slots.push_back(ExpertId{e});
  }
  for (int r = 0; r < ranks; ++r) {
    slots.push_back(
        ExpertId{static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(experts)))});
  }
  shuffle(std::span(slots), rng);
  return placement_from_slots(std::move(slots), ranks);
}

Case random_case(DispatcherKind kind) {
  const int ranks = *rc::gen::inRange(1, 10);
  const int experts = ranks * *rc::gen::inRange(1, 4);
  const int per_domain = *rc::gen::inRange(1, 5);
  RngStream rng(*rc::gen::arbitrary<std::uint64_t>(), "case");
  Case c;
  c.routing = {.num_experts = experts,
               .top_k = *rc::gen::inRange(1, std::min(experts, 6) + 1),
               .token_begin = {0},
               .experts = {},
               .weights = {}};
  for (int r = 0; r < ranks; ++r) {
    const auto tokens = static_cast<std::int32_t>(rng.below(7));
    for (std::int32_t t = 0; t < tokens; ++t) {
      const std::vector<ExpertIndex> deck = random_deck(experts, rng);
      c.routing.experts.insert(
          c.routing.experts.end(), deck.begin(), deck.begin() + c.routing.top_k);
    }
    c.routing.token_begin.push_back(c.routing.token_begin.back() + tokens);
    c.setup.places.push_back({r / per_domain, r % per_domain});
  }
  for (std::size_t i = 0; i < c.routing.experts.size(); ++i) {
    c.accepted.keep.push_back(rng.below(5) == 0 ? 0 : 1);
  }
  c.placement = random_placement_of(experts, ranks, rng);
  if (c.placement.has_replicas()) {
    const ReplicaRule rule{.choice = static_cast<ReplicaChoice>(rng.below(4)), .limit = 1.0};
    c.accepted.slots = choose_slots(
        c.routing,
        {.placement = c.placement, .domains = make_domains(c.setup.places), .rule = rule});
  }
  c.setup.spec.kind = kind;
  c.setup.copy = kCopy;
  return c;
}

LayerTraffic plan(const Case& c) {
  return plan_traffic(c.routing, c.accepted, c.placement, c.setup);
}

/// (stage, source, destination) -> messages.
using Counts = std::map<std::tuple<int, int, int>, std::int64_t>;

/// Ranks of each token's accepted experts with the token's own rank, repeats kept.
std::vector<std::pair<int, std::vector<int>>> visits(const Case& c) {
  std::vector<std::pair<int, std::vector<int>>> result;
  for (int source = 0; source < c.routing.num_ranks(); ++source) {
    const auto s = static_cast<std::size_t>(source);
    for (std::int32_t t = c.routing.token_begin[s]; t < c.routing.token_begin[s + 1]; ++t) {
      std::vector<int> ranks;
      for (int k = 0; k < c.routing.top_k; ++k) {
        const auto a = static_cast<std::size_t>(t) * static_cast<std::size_t>(c.routing.top_k) +
                       static_cast<std::size_t>(k);
        if (c.accepted.is_kept(a)) {
          const SlotId slot = c.accepted.slots.empty()
                                  ? c.placement.slots_of(ExpertId{c.routing.experts[a]}).front()
                                  : c.accepted.slots[a];
          ranks.push_back(c.placement.rank_of_slot[slot.index()].value);
        }
      }
      result.emplace_back(source, ranks);
    }
  }
  return result;
}

int domain_of(const Case& c, int rank) {
  return c.setup.places[static_cast<std::size_t>(rank)].domain;
}

/// Domains are filled in rank order, so a relay is the first rank of the domain plus the index.
int relay_of(const Case& c, int source, int domain) {
  std::vector<int> members;
  for (int r = 0; r < c.routing.num_ranks(); ++r) {
    if (domain_of(c, r) == domain) {
      members.push_back(r);
    }
  }
  const auto index =
      static_cast<std::size_t>(c.setup.places[static_cast<std::size_t>(source)].index_in_domain);
  return members[index % members.size()];
}

using Visits = std::vector<std::pair<int, std::vector<int>>>;

/// Every token on every rank.
Visits all_visits(const Case& c) {
  std::vector<int> all(static_cast<std::size_t>(c.routing.num_ranks()));
  std::iota(all.begin(), all.end(), 0);
  Visits result = visits(c);
  for (auto& [source, ranks] : result) {
    ranks = all;
  }
  return result;
}

Counts naive_hierarchical(const Case& c, const Visits& tokens) {
  Counts counts;
  for (const auto& [source, ranks] : tokens) {
    std::set<int> domains;
    for (const int rank : std::set<int>(ranks.begin(), ranks.end())) {
      const int domain = domain_of(c, rank);
      if (domain == domain_of(c, source)) {
        counts[{0, source, rank}] += rank == source ? 0 : 1;
        continue;
      }
      const int relay = relay_of(c, source, domain);
      counts[{0, source, relay}] += domains.insert(domain).second ? 1 : 0;
      counts[{1, relay, rank}] += rank == relay ? 0 : 1;
    }
  }
  return counts;
}

Counts naive_direct(const Case& c, bool distinct) {
  Counts counts;
  for (const auto& [source, ranks] : visits(c)) {
    const std::set<int> once(ranks.begin(), ranks.end());
    const std::vector<int> targets = distinct ? std::vector<int>(once.begin(), once.end()) : ranks;
    for (const int rank : targets) {
      counts[{0, source, rank}] += rank == source ? 0 : 1;
    }
  }
  return counts;
}

/// Rows to the rank of the own domain that has the destination's index, then on to it.
Counts naive_two_dimensional(const Case& c) {
  Counts counts;
  for (const auto& [source, ranks] : visits(c)) {
    const int own = domain_of(c, source);
    for (const int rank : ranks) {
      const int relay = domain_of(c, rank) == own ? rank : relay_of(c, rank, own);
      counts[{0, source, relay}] += relay == source ? 0 : 1;
      counts[{1, relay, rank}] += relay == rank ? 0 : 1;
    }
  }
  return counts;
}

Counts naive(const Case& c) {
  switch (c.setup.spec.kind) {
    case DispatcherKind::kHierarchical:
    case DispatcherKind::kHybridEp:
      return naive_hierarchical(c, visits(c));
    case DispatcherKind::kAllGather:
      return naive_hierarchical(c, all_visits(c));
    case DispatcherKind::kTwoDimensional:
      return naive_two_dimensional(c);
    case DispatcherKind::kPairwise:
    case DispatcherKind::kOneSided:
    case DispatcherKind::kTwoSided:
      return naive_direct(c, true);
    case DispatcherKind::kLowLatency:
    case DispatcherKind::kNccl:
      return naive_direct(c, false);
  }
  return {};
}

Counts without_zeros(Counts counts) {
  std::erase_if(counts, [](const auto& entry) { return entry.second == 0; });
  return counts;
}

/// What goes back: destination to source, the last stage first where a relay takes part.
Counts reversed(const Case& c, const Counts& counts) {
  Counts back;
  for (const auto& [key, messages] : counts) {
    const auto [stage, source, destination] = key;
    const bool by_rail =
        has_relays(c.setup.spec.kind) && domain_of(c, source) != domain_of(c, destination);
    const bool gathered = c.setup.spec.kind == DispatcherKind::kTwoDimensional && stage == 0;
    back[{(stage == 0 && by_rail) || gathered ? 1 : 0, destination, source}] += messages;
  }
  return back;
}

bool is_one_message_a_pair(DispatcherKind kind) {
  return kind == DispatcherKind::kNccl || kind == DispatcherKind::kTwoDimensional ||
         kind == DispatcherKind::kAllGather;
}

/// Rows by (stage, source, destination), from the bytes.
Counts counted(const CommPlan& plan, std::int64_t bytes_each, DispatcherKind kind) {
  Counts counts;
  RC_ASSERT(plan.row_bytes == bytes_each);
  for (const Transfer& t : plan.transfers) {
    RC_ASSERT(t.bytes % bytes_each == 0);
    RC_ASSERT(t.bytes > 0);
    RC_ASSERT(t.messages == (is_one_message_a_pair(kind) ? 1 : t.bytes / bytes_each));
    RC_ASSERT(t.source != t.destination);
    counts[{t.stage, t.source.value, t.destination.value}] += t.bytes / bytes_each;
  }
  return counts;
}

void check_against_recount(DispatcherKind kind) {
  const Case c = random_case(kind);
  const LayerTraffic traffic = plan(c);
  const Counts expected = without_zeros(naive(c));
  RC_TAG(expected.empty() ? "nothing moves" : "something moves");
  RC_ASSERT(counted(traffic.dispatch, kCopy.dispatch(), kind) == expected);
  RC_ASSERT(counted(traffic.combine, kCopy.combine, kind) == reversed(c, expected));
  std::int64_t copies = 0;
  for (const auto& [key, messages] : without_zeros(naive_direct(c, true))) {
    copies += messages;
  }
  std::int64_t dispatch_bytes = 0;
  for (const std::int64_t b : traffic.dispatch.logical.bytes) {
    dispatch_bytes += b;
  }
  RC_ASSERT(dispatch_bytes == copies * kCopy.dispatch());
  const auto kept = std::count(c.accepted.keep.begin(), c.accepted.keep.end(), 1);
  RC_ASSERT(std::accumulate(
                traffic.slot_tokens.begin(), traffic.slot_tokens.end(), std::int64_t{0}) == kept);
}

RC_GTEST_PROP(Pairwise, Inv1BytesSentAreThoseImpliedByAcceptedAssignments, ()) {
  check_against_recount(DispatcherKind::kPairwise);
}
RC_GTEST_PROP(Hierarchical, Inv1BytesSentAreThoseImpliedByAcceptedAssignments, ()) {
  check_against_recount(DispatcherKind::kHierarchical);
}
RC_GTEST_PROP(LowLatency, Inv1BytesSentAreThoseImpliedByAcceptedAssignments, ()) {
  check_against_recount(DispatcherKind::kLowLatency);
}

RC_GTEST_PROP(Nccl, Inv1BytesSentAreThoseImpliedByAcceptedAssignments, ()) {
  check_against_recount(DispatcherKind::kNccl);
}
RC_GTEST_PROP(AllGather, Inv1EveryTokenGoesToEveryRankWhateverIsAccepted, ()) {
  check_against_recount(DispatcherKind::kAllGather);
}
RC_GTEST_PROP(OneSided, Inv1BytesSentAreThoseImpliedByAcceptedAssignments, ()) {
  check_against_recount(DispatcherKind::kOneSided);
}
RC_GTEST_PROP(TwoSided, Inv1BytesSentAreThoseImpliedByAcceptedAssignments, ()) {
  check_against_recount(DispatcherKind::kTwoSided);
}
RC_GTEST_PROP(HybridEp, Inv1BytesSentAreThoseImpliedByAcceptedAssignments, ()) {
  check_against_recount(DispatcherKind::kHybridEp);
}
RC_GTEST_PROP(TwoDimensional, Inv1BytesSentAreThoseImpliedByAcceptedAssignments, ()) {
  check_against_recount(DispatcherKind::kTwoDimensional);
}

/// The same layer with rank r called new_rank[r].
Case relabelled(const Case& c, const std::vector<std::int32_t>& new_rank) {
  Case result = c;
  const auto ranks = static_cast<std::size_t>(c.routing.num_ranks());
  const auto top_k = static_cast<std::size_t>(c.routing.top_k);
  result.routing.experts.clear();
  result.routing.token_begin = {0};
  result.accepted.keep.clear();
  result.accepted.slots.clear();
  for (std::size_t to = 0; to < ranks; ++to) {
    const auto from = static_cast<std::size_t>(
        std::find(new_rank.begin(), new_rank.end(), static_cast<std::int32_t>(to)) -
        new_rank.begin());
    const std::int32_t begin = c.routing.token_begin[from];
    const std::int32_t end = c.routing.token_begin[from + 1];
    for (std::size_t a = static_cast<std::size_t>(begin) * top_k;
         a < static_cast<std::size_t>(end) * top_k;
         ++a) {
      result.routing.experts.push_back(c.routing.experts[a]);
      result.accepted.keep.push_back(c.accepted.keep[a]);
      if (!c.accepted.slots.empty()) {
        result.accepted.slots.push_back(c.accepted.slots[a]);
      }
    }
    result.routing.token_begin.push_back(result.routing.token_begin.back() + end - begin);
    result.setup.places[to] = c.setup.places[from];
  }
  for (RankId& rank : result.placement.rank_of_slot) {
    rank = RankId{new_rank[rank.index()]};
  }
  return result;
}

Counts renamed(const Counts& counts, const std::vector<std::int32_t>& new_rank) {
  Counts result;
  for (const auto& [key, messages] : counts) {
    const auto [stage, source, destination] = key;
    result[{stage,
            new_rank[static_cast<std::size_t>(source)],
            new_rank[static_cast<std::size_t>(destination)]}] = messages;
  }
  return result;
}

RC_GTEST_PROP(Dispatchers, Inv5RelabellingRanksPermutesTransfers, ()) {
  const auto kind = static_cast<DispatcherKind>(*rc::gen::inRange(0, kNumDispatchers));
  const Case c = random_case(kind);
  std::vector<std::int32_t> new_rank(static_cast<std::size_t>(c.routing.num_ranks()));
  std::iota(new_rank.begin(), new_rank.end(), 0);
  RngStream rng(*rc::gen::arbitrary<std::uint64_t>(), "labels");
  shuffle(std::span(new_rank), rng);
  const LayerTraffic before = plan(c);
  const LayerTraffic after = plan(relabelled(c, new_rank));
  RC_ASSERT(counted(after.dispatch, kCopy.dispatch(), kind) ==
            renamed(counted(before.dispatch, kCopy.dispatch(), kind), new_rank));
  RC_ASSERT(counted(after.combine, kCopy.combine, kind) ==
            renamed(counted(before.combine, kCopy.combine, kind), new_rank));
}

RC_GTEST_PROP(Dispatchers, GiveTransfersInOrderWithRelayGroupsFedBeforeTheyForward, ()) {
  const Case c =
      random_case(*rc::gen::element(DispatcherKind::kHierarchical, DispatcherKind::kHybridEp));
  const CommPlan dispatch = plan(c).dispatch;
  std::map<int, std::pair<int, std::int64_t>> fed;  // group -> relay, copies
  std::tuple<int, int, int, int> last{-1, -1, -1, -1};
  for (const Transfer& t : dispatch.transfers) {
    const std::tuple<int, int, int, int> key{t.stage, t.source.value, t.destination.value, t.group};
    RC_ASSERT(last < key);
    last = key;
    RC_ASSERT(t.group < dispatch.num_groups);
    if (t.stage == 0 && t.group >= 0) {
      fed[t.group] = {t.destination.value, t.messages};
    }
    if (t.stage == 1) {
      RC_ASSERT(fed.at(t.group).first == t.source.value);
      RC_ASSERT(t.messages <= fed.at(t.group).second);
    }
  }
  RC_ASSERT(static_cast<int>(fed.size()) == dispatch.num_groups);
}

}  // namespace
}  // namespace moesim
