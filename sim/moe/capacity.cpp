// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/capacity.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "sim/core/check.hpp"
#include "sim/moe/capacity_scopes.hpp"
#include "sim/moe/capacity_serve.hpp"

namespace moesim {
namespace {

/// factor is a decimal text rounded to binary, so factor * tokens * top_k / slots may lie a few
/// ulps above the whole number that is meant; nearer than this it is that number.
constexpr double kWholeNumberTolerance = 1e-12;

/// More than any count of assignments; keeps a huge factor inside int64.
constexpr double kUnlimited = 4e18;

constexpr std::string_view kPolicies[] = {
    "none", "drop", "spill", "next_best", "pad", "expert_choice", "replica"};
constexpr std::string_view kScopes[] = {"rank", "group", "micro_batch", "global"};

/// Sums up what the policy left. Entries of a token from top_k on are candidates. No branch
/// depends on the data.
void count_up(const Routing& routing, Accepted& accepted) {
  const auto top_k = static_cast<std::size_t>(routing.top_k);
  const auto per_token =
      static_cast<std::size_t>(accepted.per_token > 0 ? accepted.per_token : routing.top_k);
  const auto tokens = static_cast<std::size_t>(routing.num_tokens());
  const std::uint8_t* keep = accepted.keep.data();
  const ExpertIndex* chosen = routing.experts.data();
  const ExpertIndex* served = accepted.experts.empty() ? nullptr : accepted.experts.data();
  std::size_t kept_choices = 0;
  std::size_t moved = 0;
  std::size_t lost = 0;
  for (std::size_t token = 0; token < tokens; ++token, keep += per_token, chosen += top_k) {
    unsigned any = 0;
    for (std::size_t slot = 0; slot < top_k; ++slot) {
      const unsigned kept = keep[slot];
      any |= kept;
      kept_choices += kept;
      moved += served != nullptr ? kept & static_cast<unsigned>(served[slot] != chosen[slot]) : 0U;
    }
    for (std::size_t slot = top_k; slot < per_token; ++slot) {
      any |= keep[slot];
      moved += keep[slot];
    }
    served += served != nullptr ? per_token : 0;
    lost += any == 0 ? 1 : 0;
  }
  accepted.dropped += static_cast<std::int64_t>(tokens * top_k - kept_choices);
  accepted.diverted += static_cast<std::int64_t>(moved);
  accepted.lost_tokens += static_cast<std::int64_t>(lost);
}

void sum_weights(const Routing& routing, Accepted& accepted) {
  double dropped = 0.0;
  const auto top_k = static_cast<std::size_t>(routing.top_k);
  const auto per_token =
      static_cast<std::size_t>(accepted.per_token > 0 ? accepted.per_token : routing.top_k);
  for (std::size_t i = 0; i < routing.weights.size(); ++i) {
    const auto weight = static_cast<double>(routing.weights[i]);
    accepted.weight += weight;
    dropped += accepted.is_kept(i / top_k * per_token + i % top_k) ? 0.0 : weight;
  }
  accepted.dropped_weight = dropped;
}

void check_sizes(const Routing& routing, const CapacitySpec& spec) {
  const auto tokens = static_cast<std::size_t>(routing.num_tokens());
  MOESIM_CHECK(routing.experts.size() == tokens * static_cast<std::size_t>(routing.top_k),
               "a routing has top_k experts a token");
  MOESIM_CHECK(routing.weights.empty() || routing.weights.size() == routing.experts.size(),
               "a routing has a weight for every assignment or none");
  MOESIM_CHECK(
      routing.candidates.size() == tokens * static_cast<std::size_t>(routing.num_candidates),
      "a routing has num_candidates candidates a token");
  MOESIM_CHECK(spec.micro_batches >= 1, "a batch has micro-batches");
  MOESIM_CHECK(!needs_candidates(spec.policy) || routing.num_candidates > 0,
               "the policy needs candidates");
}

Accepted apply(const Routing& routing, const CapacitySpec& spec, const ServedSlots& slots) {
  check_sizes(routing, spec);
  Accepted accepted;
  accepted.assignments = static_cast<std::int64_t>(routing.experts.size());
  accepted.tokens = routing.num_tokens();
  if (slots.chooser != nullptr) {
    accepted.slots = choose_slots(routing, *slots.chooser);
  }
  if (spec.policy == OverflowPolicy::kExpertChoice) {
    choose_by_expert(routing, spec, accepted);
  } else if (spec.policy != OverflowPolicy::kNone) {
    serve_in_rounds(routing, spec, slots, accepted);
  }
  if (spec.policy != OverflowPolicy::kNone) {
    count_up(routing, accepted);
  }
  if (spec.policy == OverflowPolicy::kPad) {
    accepted.padding_rows = padding(routing, spec, accepted, slots.count());
  }
  if (routing.has_weights()) {
    sum_weights(routing, accepted);
  }
  return accepted;
}

}  // namespace

std::span<const std::string_view> overflow_policy_words() {
  return kPolicies;
}

std::span<const std::string_view> capacity_scope_words() {
  return kScopes;
}

std::string_view to_text(OverflowPolicy policy) {
  return kPolicies[static_cast<std::size_t>(policy)];
}

std::string_view to_text(CapacityScope scope) {
  return kScopes[static_cast<std::size_t>(scope)];
}

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

std::int64_t padding(const Routing& routing,
                     const CapacitySpec& spec,
                     const Accepted& accepted,
                     int slots) {
  const std::vector<std::int64_t> rows = padded_rows(routing, spec, slots);
  return std::accumulate(rows.begin(), rows.end(), std::int64_t{0}) *
             (slots > 0 ? slots : routing.num_experts) -
         (accepted.assignments - accepted.dropped);
}

Accepted apply_capacity(const Routing& routing,
                        const CapacitySpec& spec,
                        const Placement* placement) {
  MOESIM_CHECK(placement == nullptr || !placement->has_replicas(),
               "replicas need a rule that chooses among them");
  return apply(routing, spec, {.placement = placement, .chooser = nullptr});
}

Accepted apply_capacity(const Routing& routing, const CapacitySpec& spec, const Placed& placed) {
  if (!placed.placement.has_replicas()) {
    return apply(routing, spec, {.placement = &placed.placement, .chooser = nullptr});
  }
  MOESIM_CHECK(spec.policy != OverflowPolicy::kExpertChoice, "expert choice takes no replicas");
  ReplicaChooser chooser(routing, placed);
  return apply(routing, spec, {.placement = &placed.placement, .chooser = &chooser});
}

std::vector<std::int64_t> padded_rows(const Routing& routing, const CapacitySpec& spec, int slots) {
  MOESIM_CHECK(spec.scope == CapacityScope::kRank || spec.scope == CapacityScope::kMicroBatch,
               "only a scope of one source has a padded shape a source");
  std::vector<std::int64_t> rows(static_cast<std::size_t>(routing.num_ranks()));
  for (const ServedScope& scope : served_scopes(routing, spec)) {
    rows[static_cast<std::size_t>(scope.ranges.front().rank)] +=
        scope_capacity(routing, spec.factor, scope, slots);
  }
  return rows;
}

}  // namespace moesim
