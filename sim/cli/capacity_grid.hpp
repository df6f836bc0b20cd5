// SPDX-License-Identifier: Apache-2.0
// The grid of `moesim capacity` as the user writes it.
#pragma once

#include <string>
#include <vector>

#include "sim/scenario/scenario.hpp"
#include "sim/step/capacity_sweep.hpp"

namespace moesim::cli {

struct GridOptions {
  std::string factors = "0.5,0.75,1,1.0625,1.125,1.25,1.5,1.75,2,2.5,3,4";
  std::string policies = "drop,spill";
  std::string scopes = "rank,group";
};

/// "1,1.25,1.5" or "1:2:0.25" (first, last, step). Throws UserError. Sorted, each factor once.
[[nodiscard]] std::vector<double> parse_factors(const std::string& text);

/// The grid, checked against the scenario. Throws UserError.
[[nodiscard]] CapacityGrid make_grid(const GridOptions& options, const Scenario& scenario);

/// Sentences on curves that the policies and scopes named, but that cannot be.
[[nodiscard]] std::vector<std::string> grid_notes(const CapacityGrid& grid);

}  // namespace moesim::cli
