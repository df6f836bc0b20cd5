// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "sim/core/check.hpp"
#include "sim/moe/capacity_serve.hpp"

namespace moesim {
namespace {

/// One token's entry in an expert's list.
struct Bid {
  float weight = 0;
  std::size_t entry = 0;
};

/// The token's choices, then its candidates, for every token: [token * per_token].
template <typename T>
std::vector<T> joined(const std::vector<T>& choices,
                      const std::vector<T>& candidates,
                      std::size_t top_k,
                      std::size_t num_candidates) {
  std::vector<T> all;
  all.reserve(choices.size() + candidates.size());
  for (std::size_t token = 0; token * top_k < choices.size(); ++token) {
    const auto choice = choices.begin() + static_cast<std::ptrdiff_t>(token * top_k);
    all.insert(all.end(), choice, choice + static_cast<std::ptrdiff_t>(top_k));
    const auto next = candidates.begin() + static_cast<std::ptrdiff_t>(token * num_candidates);
    all.insert(all.end(), next, next + static_cast<std::ptrdiff_t>(num_candidates));
  }
  return all;
}

void take_largest(std::vector<Bid>& bids, std::int64_t capacity, std::vector<std::uint8_t>& keep) {
  const auto count = std::min(bids.size(), static_cast<std::size_t>(capacity));
  const auto middle = bids.begin() + static_cast<std::ptrdiff_t>(count);
  std::nth_element(bids.begin(), middle, bids.end(), [](const Bid& a, const Bid& b) {
    return a.weight != b.weight ? a.weight > b.weight : a.entry < b.entry;
  });
  std::for_each(bids.begin(), middle, [&](const Bid& bid) { keep[bid.entry] = 1; });
}

}  // namespace

void choose_by_expert(const Routing& routing, const CapacitySpec& spec, Accepted& accepted) {
  MOESIM_CHECK(routing.has_weights() && routing.num_candidates > 0,
               "expert choice needs gate weights and candidates");
  const auto top_k = static_cast<std::size_t>(routing.top_k);
  const auto candidates = static_cast<std::size_t>(routing.num_candidates);
  const std::size_t per_token = top_k + candidates;
  const std::vector<float> weights =
      joined(routing.weights, routing.candidate_weights, top_k, candidates);
  accepted.experts = joined(routing.experts, routing.candidates, top_k, candidates);
  accepted.per_token = static_cast<int>(per_token);
  accepted.keep.assign(accepted.experts.size(), 0);
  std::vector<std::vector<Bid>> bids(static_cast<std::size_t>(routing.num_experts));
  for (const ServedScope& scope : served_scopes(routing, spec)) {
    for (std::vector<Bid>& of_expert : bids) {
      of_expert.clear();
    }
    for (const TokenRange& range : scope.ranges) {
      const std::size_t end = static_cast<std::size_t>(range.end) * per_token;
      for (std::size_t e = static_cast<std::size_t>(range.begin) * per_token; e < end; ++e) {
        bids[accepted.experts[e]].push_back({weights[e], e});
      }
    }
    for (std::vector<Bid>& of_expert : bids) {
      take_largest(of_expert, scope_capacity(routing, spec.factor, scope), accepted.keep);
    }
  }
}

}  // namespace moesim
