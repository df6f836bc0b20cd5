// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/capacity.hpp"

#include <algorithm>
#include <cmath>
#include <span>

#include "sim/core/check.hpp"

namespace moesim {
namespace {

/// factor is a decimal text rounded to binary, so factor * tokens * top_k / slots may lie a few
/// ulps above the whole number that is meant; nearer than this it is that number.
constexpr double kWholeNumberTolerance = 1e-12;

/// More than any count of assignments; keeps a huge factor inside int64.
constexpr double kUnlimited = 4e18;

/// Serves one scope: marks what fits, counts what each slot took. Returns the dropped assignments.
std::int64_t serve(std::span<const ExpertIndex> experts,
                   std::int64_t capacity,
                   std::vector<std::int64_t>& taken,
                   std::span<std::uint8_t> keep) {
  std::int64_t dropped = 0;
  for (std::size_t i = 0; i < experts.size(); ++i) {
    std::int64_t& slot_taken = taken[experts[i]];
    const bool fits = slot_taken < capacity;
    keep[i] = fits ? 1 : 0;
    slot_taken += fits ? 1 : 0;
    dropped += fits ? 0 : 1;
  }
  return dropped;
}

/// The token ranges that share one capacity.
std::vector<std::int32_t> scope_begins(const Routing& routing, CapacityScope scope) {
  if (scope == CapacityScope::kRank) {
    return routing.token_begin;
  }
  return {0, routing.num_tokens()};
}

void drop_overflow(const Routing& routing, const CapacitySpec& spec, Accepted& accepted) {
  const auto top_k = static_cast<std::size_t>(routing.top_k);
  accepted.keep.resize(routing.experts.size());
  std::vector<std::int64_t> taken(static_cast<std::size_t>(routing.num_experts));
  const std::vector<std::int32_t> begins = scope_begins(routing, spec.scope);
  for (std::size_t s = 0; s + 1 < begins.size(); ++s) {
    const std::int64_t tokens = begins[s + 1] - begins[s];
    const std::size_t first = static_cast<std::size_t>(begins[s]) * top_k;
    const std::size_t count = static_cast<std::size_t>(tokens) * top_k;
    std::fill(taken.begin(), taken.end(), 0);
    accepted.dropped +=
        serve(std::span(routing.experts).subspan(first, count),
              slot_capacity(spec.factor, tokens, routing.top_k, routing.num_experts),
              taken,
              std::span(accepted.keep).subspan(first, count));
  }
}

void sum_weights(const Routing& routing, Accepted& accepted) {
  double dropped = 0.0;
  for (std::size_t i = 0; i < routing.weights.size(); ++i) {
    const auto weight = static_cast<double>(routing.weights[i]);
    accepted.weight += weight;
    dropped += accepted.is_kept(i) ? 0.0 : weight;
  }
  accepted.dropped_weight = dropped;
}

}  // namespace

std::int64_t slot_capacity(double factor, std::int64_t tokens, int top_k, int slots) {
  MOESIM_CHECK(std::isfinite(factor) && factor > 0, "a capacity factor is positive");
  MOESIM_CHECK(tokens >= 0 && top_k > 0 && slots > 0, "a capacity needs slots and a top_k");
  if (tokens == 0) {
    return 0;
  }
  const double share = static_cast<double>(tokens) * top_k / slots;
  const double exact = factor * share;
  if (exact >= kUnlimited) {
    return static_cast<std::int64_t>(kUnlimited);
  }
  const double capacity = std::ceil(exact * (1.0 - kWholeNumberTolerance));
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(capacity));
}

Accepted apply_capacity(const Routing& routing, const CapacitySpec& spec) {
  MOESIM_CHECK(routing.experts.size() == static_cast<std::size_t>(routing.num_tokens()) *
                                             static_cast<std::size_t>(routing.top_k),
               "a routing has top_k experts a token");
  MOESIM_CHECK(routing.weights.empty() || routing.weights.size() == routing.experts.size(),
               "a routing has a weight for every assignment or none");
  Accepted accepted;
  accepted.assignments = static_cast<std::int64_t>(routing.experts.size());
  if (spec.policy == OverflowPolicy::kDrop) {
    drop_overflow(routing, spec, accepted);
  }
  if (routing.has_weights()) {
    sum_weights(routing, accepted);
  }
  return accepted;
}

}  // namespace moesim
