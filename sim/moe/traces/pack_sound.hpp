// SPDX-License-Identifier: Apache-2.0
// What must hold of the numbers of a pack before it can be replayed. Each throws UserError with
// the first number that is wrong; `path` is for messages.
#pragma once

#include <filesystem>

#include "sim/moe/traces/pack.hpp"

namespace moesim::traces {

/// Every id is an expert, and no token names one twice in a layer.
void require_sound_ids(const std::filesystem::path& path,
                       const NpyArray& topk,
                       int num_experts,
                       const Pace& pace = {});

/// Every weight is finite and not negative. @param weights  of type f2 or f4
void require_sound_weights(const std::filesystem::path& path,
                           const NpyArray& weights,
                           const Pace& pace = {});

/// Every (step, source rank, layer) has assignments, and so few of each expert that tokens of
/// top_k distinct experts can have them.
void require_sound_counts(const std::filesystem::path& path,
                          const RoutePack& pack,
                          const Pace& pace = {});

}  // namespace moesim::traces
