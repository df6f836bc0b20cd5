// SPDX-License-Identifier: Apache-2.0
// Placements from a JSON file in the form of SGLang's --init-expert-location: an object whose
// "physical_to_logical_map" is [MoE layers][slots] of expert ids, slots in rank order.
#pragma once

#include <string>
#include <vector>

#include "sim/moe/placement.hpp"

namespace moesim {

/// What the file has to fit.
struct PlacementSize {
  int layers = 0;  ///< MoE layers of the model
  int experts = 0;
  int ranks = 0;
};

/// One placement per layer. Throws EnvironmentError when the file cannot be read, UserError with
/// the first misfit when it does not fit. Other keys of the object are ignored.
[[nodiscard]] std::vector<Placement> read_placements(const std::string& file, PlacementSize size);

}  // namespace moesim
