// SPDX-License-Identifier: Apache-2.0
// The parts of a sweep; see sweep.hpp for the tiers.
#pragma once

#include <vector>

#include "gpu_ref/measure/sweep.hpp"

namespace moesim::measure {

inline constexpr int kFullTier = 4;

/// first, first * factor, ... up to last.
[[nodiscard]] std::vector<std::int64_t> powers(std::int64_t first,
                                               std::int64_t last,
                                               std::int64_t factor);

/// Appends one case; its estimate comes later.
void add_case(std::vector<Case>& cases, CaseInput input, int tier, L2State l2 = L2State::kCold);

void add_basics(std::vector<Case>& cases);
void add_row_operations(std::vector<Case>& cases, const SweepOptions& options);
void add_layers(std::vector<Case>& cases, const SweepOptions& options);
void add_collectives(std::vector<Case>& cases, const SweepOptions& options);
void add_grouped_gemms(std::vector<Case>& cases, const SweepOptions& options);

}  // namespace moesim::measure
