// SPDX-License-Identifier: Apache-2.0
// Which parts of a recording a fit sees and which it is tested on. Not for other modules.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/moe/traces/pack.hpp"

namespace moesim::generate {

/// Sequences of a per-token pack, as packs of their own; an absent part has no sequences.
struct FitParts {
  traces::RoutePack seen;
  traces::RoutePack unseen_sequences;
  traces::RoutePack unseen_domains;
  bool cut_into_windows = false;
};

/// Every third domain (of three or more) and every second sequence of the others are unseen; each
/// part is cut off at 16,384 tokens. Order drawn from `seed`.
[[nodiscard]] FitParts split_for_fit(const traces::RoutePack& pack, std::uint64_t seed);

}  // namespace moesim::generate
