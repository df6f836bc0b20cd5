// SPDX-License-Identifier: Apache-2.0
// Draws tokens that meet recorded counts per expert.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "sim/core/rng.hpp"
#include "sim/moe/routing.hpp"
#include "sim/moe/traces/pack.hpp"

namespace moesim::traces {

/// Counts scaled to `total` assignments by largest remainders:
///   scaled[e] = floor(counts[e] * total / sum) + 1 for the experts with the largest remainders
/// so that the sum is `total`; equal remainders go to the lower expert first.
/// Source: Hamilton's method of apportionment. Valid for: sum > 0, sum * total < 2^63.
/// Checked by: counts_draw_test.
[[nodiscard]] std::vector<std::int64_t> scaled_counts(std::span<const std::int64_t> counts,
                                                      std::int64_t total);

/// Gives every token top_k distinct experts so that expert e has counts[e] assignments.
///
/// The assignments, expert by expert in an order drawn from `rng`, are dealt to the tokens in turn:
///   assignment i goes to the token at place i mod tokens of a random order
/// An expert has consecutive assignments and at most one per token, so experts of a token differ.
/// Counts say nothing about which experts go together; here that follows from the drawn order
/// (systematic sampling).
/// @param counts  sum is tokens * top_k, each <= tokens    @return [token * top_k]
/// Source: Madow 1949, systematic sampling with unequal probabilities, order randomised.
/// Valid for: marginal loads; not for the recorded co-occurrence or token order.
/// Checked by: counts_draw_test.
[[nodiscard]] std::vector<ExpertIndex> draw_from_counts(std::span<const std::int64_t> counts,
                                                        std::int64_t tokens,
                                                        int top_k,
                                                        RngStream rng);

/// A RoutingSource over a counts pack; meaning as open_routing_source has it.
[[nodiscard]] std::unique_ptr<RoutingSource> open_counts_source(RoutePack pack,
                                                                int ranks,
                                                                int tokens_per_rank,
                                                                std::uint64_t seed);

}  // namespace moesim::traces
