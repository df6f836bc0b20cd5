// SPDX-License-Identifier: Apache-2.0
// A source that knows more experts a token than the model takes: the rest are candidates.
#pragma once

#include <memory>

#include "sim/moe/routing.hpp"

namespace moesim {

/// Routes each token to the top_k best of the experts `wide` records of it and hands the others on
/// as candidates, best first: by gate weight where the source has weights (equal ones in slot
/// order), else in slot order, which must then be by weight (slots_by_weight).
/// Valid for: what-if routing of top_k out of a trace recorded with a larger one. Weights are kept
/// as recorded, so those of a token no longer sum to what the gate normalised them to.
/// @pre wide->info().top_k > top_k, and it has weights or slots_by_weight
[[nodiscard]] std::unique_ptr<RoutingSource> narrowed_source(std::unique_ptr<RoutingSource> wide,
                                                             int top_k);

}  // namespace moesim
