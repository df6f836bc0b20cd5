// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/capacity_ladder.hpp"

#include <algorithm>
#include <numeric>

#include "sim/core/check.hpp"
#include "sim/moe/capacity_serve.hpp"
#include "sim/moe/seats.hpp"

namespace moesim {
namespace {

using RungIndex = std::uint8_t;

/// The slot of an assignment: its expert's own, or the one chosen among replicas.
class SlotOf {
 public:
  SlotOf(const Routing& routing, const Placed& placed)
      : routing_(routing), slots_(static_cast<std::size_t>(placed.placement.num_slots())) {
    if (placed.placement.has_replicas()) {
      chosen_ = choose_slots(routing, placed);
      return;
    }
    for (int expert = 0; expert < placed.placement.num_experts(); ++expert) {
      of_expert_.push_back(placed.placement.slots_of(ExpertId{expert}).front().index());
    }
  }
  [[nodiscard]] std::size_t operator()(std::size_t assignment) const {
    return chosen_.empty() ? of_expert_[routing_.experts[assignment]] : chosen_[assignment].index();
  }
  [[nodiscard]] std::size_t slots() const { return slots_; }

 private:
  const Routing& routing_;
  std::size_t slots_;
  std::vector<std::size_t> of_expert_;
  std::vector<SlotId> chosen_;  ///< by assignment; empty without replicas
};

/// Rungs of every assignment, [token * top_k]; factors.size(): accepted at no factor.
std::vector<RungIndex> rungs_of(const Routing& routing,
                                const CapacitySpec& spec,
                                std::span<const double> factors,
                                const SlotOf& slot_of) {
  std::vector<RungIndex> rungs(routing.experts.size());
  std::vector<std::int64_t> queue(slot_of.slots());
  std::vector<RungIndex> rung_at;  // by position in a queue
  for (const ServedScope& scope : served_scopes(routing, spec)) {
    rung_at.clear();
    for (std::size_t f = 0; f < factors.size(); ++f) {
      const auto capacity = std::min(
          scope_capacity(routing, factors[f], scope, static_cast<int>(queue.size())), scope.tokens);
      rung_at.resize(static_cast<std::size_t>(capacity), static_cast<RungIndex>(f));
    }
    rung_at.resize(static_cast<std::size_t>(scope.tokens), static_cast<RungIndex>(factors.size()));
    std::fill(queue.begin(), queue.end(), 0);
    const auto place = [&](std::size_t a) {
      const auto position = static_cast<std::size_t>(queue[slot_of(a)]++);
      rungs[a] = rung_at[position];
    };
    if (spec.order == ServiceOrder::kWeight) {
      const auto order = service_order(routing, scope, spec.order);
      std::for_each(order.begin(), order.end(), place);
      continue;
    }
    const auto top_k = static_cast<std::size_t>(routing.top_k);
    for (const TokenRange& range : scope.ranges) {
      const std::size_t end = static_cast<std::size_t>(range.end) * top_k;
      for (std::size_t a = static_cast<std::size_t>(range.begin) * top_k; a < end; ++a) {
        place(a);
      }
    }
  }
  return rungs;
}

/// Counts by cell and rung: [cell * stride + rung]; those at the last rung mean nothing.
class RungCounts {
 public:
  RungCounts(std::size_t cells, std::size_t factors)
      : stride_(factors + 2), counts_(cells * stride_) {}
  [[nodiscard]] std::size_t stride() const { return stride_; }
  [[nodiscard]] std::int64_t* of(std::size_t cell) { return counts_.data() + cell * stride_; }
  /// Turns counts at a rung into counts up to it.
  void accumulate() {
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      counts_[i] += i % stride_ == 0 ? 0 : counts_[i - 1];
    }
  }
  [[nodiscard]] std::int64_t at(std::size_t cell, std::size_t rung) const {
    return counts_[cell * stride_ + rung];
  }
  /// All cells at one rung.
  void copy(std::size_t rung, std::vector<std::int64_t>& out) const {
    for (std::size_t cell = 0; cell < out.size(); ++cell) {
      out[cell] = at(cell, rung);
    }
  }

 private:
  std::size_t stride_;
  std::vector<std::int64_t> counts_;
};

/// Counts each token once at a place (rank or domain), at the least rung it meets there: one that
/// comes back lower moves its count down. The first time it comes from the rung that means nothing,
/// so that no branch depends on the data.
class LeastRungs {
 public:
  LeastRungs(std::size_t places, std::size_t factors)
      : unmet_(static_cast<RungIndex>(factors + 1)), last_(places) {}
  /// @param counts  of the token's source, [place * (factors + 2) + rung]
  void meet(std::int32_t token, std::size_t place, RungIndex rung, std::int64_t* counts) {
    Met& last = last_[place];
    const RungIndex before = last.token == token ? last.rung : unmet_;
    const RungIndex least = std::min(before, rung);
    std::int64_t* of_place = counts + place * (std::size_t{unmet_} + 1);
    --of_place[before];
    ++of_place[least];
    last = {.token = token, .rung = least};
  }

 private:
  struct Met {
    std::int32_t token = -1;
    RungIndex rung = 0;
  };
  RungIndex unmet_;
  std::vector<Met> last_;  ///< by place
};

class Ladder {
 public:
  Ladder(const Routing& routing, std::size_t factors, const Placed& placed, const SlotOf& slot_of)
      : routing_(routing),
        slot_of_(slot_of),
        factors_(factors),
        ranks_(static_cast<std::size_t>(placed.placement.num_ranks)),
        domains_(placed.domains.size()),
        seats_(seats(placed.placement, placed.domains)),
        assignments_(ranks_ * ranks_, factors),
        copies_(ranks_ * ranks_, factors),
        relayed_(ranks_ * domains_, factors),
        slots_(seats_.size(), factors),
        served_tokens_(1, factors),
        weight_at_(factors + 1) {}

  void count(const std::vector<RungIndex>& rungs) {
    LeastRungs at_rank(ranks_, factors_);
    LeastRungs at_domain(domains_, factors_);
    const std::size_t stride = slots_.stride();
    std::size_t a = 0;
    for (std::size_t source = 0; source < ranks_; ++source) {
      std::int64_t* by_slot = slots_.of(0);
      std::int64_t* sent = assignments_.of(source * ranks_);
      std::int64_t* copies = copies_.of(source * ranks_);
      std::int64_t* relayed = relayed_.of(source * domains_);
      for (auto t = routing_.token_begin[source]; t < routing_.token_begin[source + 1]; ++t) {
        auto least = static_cast<RungIndex>(factors_);
        for (int k = 0; k < routing_.top_k; ++k, ++a) {
          const std::size_t slot = slot_of_(a);
          const Seat seat = seats_[slot];
          ++by_slot[slot * stride + rungs[a]];
          ++sent[seat.rank * stride + rungs[a]];
          at_rank.meet(t, seat.rank, rungs[a], copies);
          at_domain.meet(t, seat.domain, rungs[a], relayed);
          least = std::min(least, rungs[a]);
        }
        ++served_tokens_.of(0)[least];
      }
    }
    for (std::size_t i = 0; i < routing_.weights.size(); ++i) {
      weight_at_[rungs[i]] += double{routing_.weights[i]};
    }
    for (RungCounts* counts : {&assignments_, &copies_, &relayed_, &slots_, &served_tokens_}) {
      counts->accumulate();
    }
  }

  [[nodiscard]] Rung rung(std::size_t f) const {
    Rung rung{.counts = {.copies = CountMatrix(ranks_, ranks_),
                         .assignments = CountMatrix(ranks_, ranks_),
                         .relayed = CountMatrix(ranks_, domains_),
                         .slot_tokens = std::vector<std::int64_t>(seats_.size())},
              .accepted = {}};
    copies_.copy(f, rung.counts.copies.counts);
    assignments_.copy(f, rung.counts.assignments.counts);
    relayed_.copy(f, rung.counts.relayed.counts);
    slots_.copy(f, rung.counts.slot_tokens);
    Accepted& totals = rung.accepted;
    totals.assignments = static_cast<std::int64_t>(routing_.experts.size());
    totals.dropped = totals.assignments - std::accumulate(rung.counts.slot_tokens.begin(),
                                                          rung.counts.slot_tokens.end(),
                                                          std::int64_t{0});
    totals.tokens = routing_.num_tokens();
    totals.lost_tokens = totals.tokens - served_tokens_.at(0, f);
    if (routing_.has_weights()) {
      const auto next = weight_at_.begin() + static_cast<std::ptrdiff_t>(f) + 1;
      totals.weight = std::accumulate(weight_at_.begin(), weight_at_.end(), 0.0);
      totals.dropped_weight = std::accumulate(next, weight_at_.end(), 0.0);
    }
    return rung;
  }

 private:
  const Routing& routing_;
  const SlotOf& slot_of_;
  std::size_t factors_;
  std::size_t ranks_;
  std::size_t domains_;
  std::vector<Seat> seats_;  ///< by slot
  RungCounts assignments_;
  RungCounts copies_;
  RungCounts relayed_;
  RungCounts slots_;
  RungCounts served_tokens_;
  std::vector<double> weight_at_;
};

}  // namespace

bool is_nested(const CapacitySpec& spec) {
  return (spec.policy == OverflowPolicy::kDrop || spec.policy == OverflowPolicy::kPad) &&
         !spec.has_caps();
}

std::vector<Rung> climb(const Routing& routing,
                        const CapacitySpec& spec,
                        std::span<const double> factors,
                        const Placed& placed) {
  MOESIM_CHECK(is_nested(spec), "only nested policies have rungs");
  MOESIM_CHECK(!factors.empty() && factors.size() <= 254, "one to 254 factors");
  MOESIM_CHECK(std::is_sorted(factors.begin(), factors.end()), "factors ascend");
  const SlotOf slot_of(routing, placed);
  Ladder ladder(routing, factors.size(), placed, slot_of);
  ladder.count(rungs_of(routing, spec, factors, slot_of));
  std::vector<Rung> rungs;
  for (std::size_t f = 0; f < factors.size(); ++f) {
    rungs.push_back(ladder.rung(f));
  }
  return rungs;
}

}  // namespace moesim
