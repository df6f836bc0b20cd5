// SPDX-License-Identifier: Apache-2.0
// The choices of replicas by name, as in a scenario.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "sim/moe/placement.hpp"

namespace moesim {

/// By ReplicaChoice.
inline constexpr std::array<std::string_view, 4> kReplicaChoiceNames = {
    "even", "nearest", "least_loaded", "capacity_limited"};

[[nodiscard]] constexpr std::string_view to_text(ReplicaChoice choice) {
  return kReplicaChoiceNames[static_cast<std::size_t>(choice)];
}

}  // namespace moesim
