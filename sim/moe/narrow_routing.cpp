// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/narrow_routing.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "sim/core/check.hpp"

namespace moesim {
namespace {

class NarrowedSource final : public RoutingSource {
 public:
  NarrowedSource(std::unique_ptr<RoutingSource> wide, int top_k)
      : wide_(std::move(wide)), info_(wide_->info()) {
    MOESIM_CHECK(info_.top_k > top_k, "a wide source has more experts a token");
    MOESIM_CHECK(info_.has_weights || info_.slots_by_weight, "nothing says which experts are best");
    info_.draw += fmt::format(
        "; the best {} of {} recorded experts, the others are candidates", top_k, info_.top_k);
    info_.candidates = info_.top_k - top_k;
    info_.top_k = top_k;
    info_.slots_by_weight = true;
  }

  [[nodiscard]] const RoutingSourceInfo& info() const override { return info_; }

  [[nodiscard]] Routing route(int step, int layer) const override {
    const Routing wide = wide_->route(step, layer);
    Routing routing{.num_experts = wide.num_experts,
                    .top_k = info_.top_k,
                    .token_begin = wide.token_begin,
                    .experts = {},
                    .weights = {}};
    routing.num_candidates = wide.top_k - info_.top_k;
    std::vector<std::size_t> slots(static_cast<std::size_t>(wide.top_k));
    for (std::int32_t token = 0; token < wide.num_tokens(); ++token) {
      const std::size_t first = static_cast<std::size_t>(token) * slots.size();
      std::iota(slots.begin(), slots.end(), first);
      if (wide.has_weights()) {
        std::stable_sort(slots.begin(), slots.end(), [&](std::size_t a, std::size_t b) {
          return wide.weights[a] > wide.weights[b];
        });
      }
      append(wide, slots, routing);
    }
    return routing;
  }

 private:
  void append(const Routing& wide, const std::vector<std::size_t>& slots, Routing& routing) const {
    for (std::size_t i = 0; i < slots.size(); ++i) {
      const bool chosen = i < static_cast<std::size_t>(info_.top_k);
      (chosen ? routing.experts : routing.candidates).push_back(wide.experts[slots[i]]);
      if (wide.has_weights()) {
        (chosen ? routing.weights : routing.candidate_weights).push_back(wide.weights[slots[i]]);
      }
    }
  }

  std::unique_ptr<RoutingSource> wide_;
  RoutingSourceInfo info_;
};

}  // namespace

std::unique_ptr<RoutingSource> narrowed_source(std::unique_ptr<RoutingSource> wide, int top_k) {
  return std::make_unique<NarrowedSource>(std::move(wide), top_k);
}

}  // namespace moesim
