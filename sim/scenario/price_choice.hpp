// SPDX-License-Identifier: Apache-2.0
// Which prices of a price list a scenario gets.
#pragma once

#include <vector>

#include "sim/core/diagnostics.hpp"
#include "sim/scenario/config_tree.hpp"

namespace moesim {

/// A price list with its tables resolved into the flat keys of [price].
struct PriceChoice {
  ConfigTree prices;
  std::vector<Diagnostic> diagnostics;
};

/// A list may hold a table [gpu.NAME] for each GPU, with any keys of [price] that differ for its
/// clusters: that of the scenario's cluster.gpu.name wins over the keys outside of such tables. A
/// list that has tables but none for the GPU is a mistake, at the key `price.preset`.
[[nodiscard]] PriceChoice choose_prices(const ConfigTree& list, const ConfigTree& scenario);

}  // namespace moesim
