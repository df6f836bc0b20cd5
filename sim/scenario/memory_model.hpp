// SPDX-License-Identifier: Apache-2.0
// From a checked scenario to the bill of its memory.
#pragma once

#include <string>

#include "sim/scenario/scenario.hpp"
#include "sim/step/memory.hpp"

namespace moesim {

/// Throws UserError for step.kind = moe_layers, which is no whole model.
[[nodiscard]] MemoryModel memory_model(const Scenario& scenario);

/// Throws UserError, with the bill, if a whole model's step does not fit its GPUs. A chain of MoE
/// layers is not a model at rest, and passes.
void check_memory(const Scenario& scenario);

}  // namespace moesim
