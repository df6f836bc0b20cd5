// SPDX-License-Identifier: Apache-2.0
// Sentences that a reader of a result must know; used by assemble.cpp only.
#pragma once

#include <string>
#include <vector>

#include "sim/scenario/scenario.hpp"

namespace moesim {

/// Where the cost constants come from, part by part.
void note_calibration(const CostConstants& constants, std::vector<std::string>& notes);

/// What a whole model assumes beside its experts.
void note_whole_model(const Scenario& scenario, std::vector<std::string>& notes);

}  // namespace moesim
