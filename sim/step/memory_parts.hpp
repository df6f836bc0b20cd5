// SPDX-License-Identifier: Apache-2.0
// What memory.cpp and memory_parts.cpp share; used by them only.
#pragma once

#include "sim/step/memory.hpp"

namespace moesim {

/// Parameters that a rank of a stage holds without ZeRO. Doubles: 10^12 and more are exact.
struct StageWeights {
  double experts = 0;
  double shared = 0;
  double attention = 0;
  double dense = 0;
  double embeddings = 0;
  double gates_and_norms = 0;
};
[[nodiscard]] StageWeights stage_weights(const MemoryModel& model, int stage);

/// Ranks that hold the same slots, and the same of everything else.
[[nodiscard]] double copies_of_experts(const MemoryModel& model);
[[nodiscard]] double copies_of_others(const MemoryModel& model);

}  // namespace moesim
