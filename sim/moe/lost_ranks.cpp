// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/lost_ranks.hpp"

#include <algorithm>
#include <utility>

#include "sim/core/check.hpp"

namespace moesim {
namespace {

class RemainingSource final : public RoutingSource {
 public:
  RemainingSource(std::unique_ptr<RoutingSource> whole, LostRanks lost)
      : whole_(std::move(whole)), info_(whole_->info()), lost_(std::move(lost)) {
    info_.draw += "; tokens of lost ranks are left out";
  }

  [[nodiscard]] const RoutingSourceInfo& info() const override { return info_; }

  [[nodiscard]] Routing route(int step, int layer) const override {
    Routing whole = whole_->route(step, layer);
    MOESIM_CHECK(lost_.size() + 1 == whole.token_begin.size(), "a rank is lost or not");
    Routing left{.num_experts = whole.num_experts,
                 .top_k = whole.top_k,
                 .token_begin = {0},
                 .experts = {},
                 .weights = {}};
    left.num_candidates = whole.num_candidates;
    for (std::size_t rank = 0; rank < lost_.size(); ++rank) {
      if (!lost_[rank]) {
        append(whole, rank, left);
      }
      const int each = std::max(whole.top_k, 1);
      left.token_begin.push_back(static_cast<std::int32_t>(left.experts.size()) / each);
    }
    return left;
  }

 private:
  static void append(const Routing& whole, std::size_t rank, Routing& left) {
    const auto copy = [&](const auto& from, auto& to, int each) {
      if (!from.empty()) {
        const auto width = static_cast<std::ptrdiff_t>(each);
        to.insert(to.end(),
                  from.begin() + whole.token_begin[rank] * width,
                  from.begin() + whole.token_begin[rank + 1] * width);
      }
    };
    copy(whole.experts, left.experts, whole.top_k);
    copy(whole.weights, left.weights, whole.top_k);
    copy(whole.candidates, left.candidates, whole.num_candidates);
    copy(whole.candidate_weights, left.candidate_weights, whole.num_candidates);
  }

  std::unique_ptr<RoutingSource> whole_;
  RoutingSourceInfo info_;
  LostRanks lost_;
};

void drop_from(CommPlan& plan, const LostRanks& lost) {
  std::erase_if(plan.transfers, [&](const Transfer& t) {
    return lost[t.source.index()] || lost[t.destination.index()];
  });
  for (std::size_t pair = 0; pair < plan.logical.bytes.size(); ++pair) {
    if (lost[pair / lost.size()] || lost[pair % lost.size()]) {
      plan.logical.bytes[pair] = 0;
    }
  }
}

}  // namespace

Remaining without_lost(const Placement& placement, const LostRanks& lost) {
  Remaining left{.placement = placement, .without_slot = {}};
  Placement& rest = left.placement;
  rest.slot_begin.assign(1, 0);
  rest.slots_by_expert.clear();
  for (int e = 0; e < placement.num_experts(); ++e) {
    for (const SlotId slot : placement.slots_of(ExpertId{e})) {
      if (!is_lost(lost, placement.rank_of(slot).index())) {
        rest.slots_by_expert.push_back(slot);
      }
    }
    if (rest.slots_by_expert.size() == rest.slot_begin.back()) {
      left.without_slot.push_back(ExpertId{e});
    }
    rest.slot_begin.push_back(rest.slots_by_expert.size());
  }
  return left;
}

std::unique_ptr<RoutingSource> without_lost(std::unique_ptr<RoutingSource> whole, LostRanks lost) {
  return std::make_unique<RemainingSource>(std::move(whole), std::move(lost));
}

void drop_lost(LayerTraffic& traffic, const LostRanks& lost) {
  if (lost.empty()) {
    return;
  }
  drop_from(traffic.notify, lost);
  drop_from(traffic.dispatch, lost);
  drop_from(traffic.combine, lost);
}

}  // namespace moesim
