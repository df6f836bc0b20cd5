// SPDX-License-Identifier: Apache-2.0
// A batch cut into the two micro-batches of two-batch overlap.
#pragma once

#include <array>
#include <cstdint>

#include "sim/moe/routing.hpp"
#include "sim/step/pass_costs.hpp"

namespace moesim {

/// One of the two. Of S sequences a rank the first takes floor(S / 2), whole; of a single one
/// floor(n / 2) of its n new tokens, and the second the others over all of the context.
/// Source: SGLang's two_batch_overlap.py, which cuts between sequences, and inside one where there
/// is but one. Left out: cuts that balance sequences of unequal length.
/// Checked by: overlap_test.
struct MicroBatch {
  std::int32_t first_token = 0;  ///< of each rank's
  std::int32_t tokens = 0;       ///< of each rank
  PassLoad load;
};
[[nodiscard]] std::array<MicroBatch, 2> halves(const WholeModel& model);

/// Tokens [first, first + tokens) of every rank.
[[nodiscard]] Routing tokens_of(const Routing& routing, std::int32_t first, std::int32_t tokens);

}  // namespace moesim
