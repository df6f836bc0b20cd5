// SPDX-License-Identifier: Apache-2.0
// Sets of scale-up domains and what can leave and enter them, whatever the paths.
#pragma once

#include <string>
#include <vector>

#include "sim/core/units.hpp"
#include "topology/cluster.hpp"

namespace moesim {

/// What the members of a set of GPUs can send to all others, or receive from them.
struct CutRates {
  BytesPerSecond out;
  BytesPerSecond in;
};

/// Every domain by itself: the sum over its NICs of the less of their PCIe links and their cables.
[[nodiscard]] std::vector<CutRates> domain_rates(const Cluster& cluster);

/// Several domains against the others.
struct CutSet {
  std::string name;          ///< "domains 0 to 3", "first half along x"
  int sort = 0;              ///< 2, 4, 8: halves, quarters, eighths; 0: halves of a torus
  std::vector<char> inside;  ///< by domain
  CutRates rates;            ///< max-flow
};

/// The aligned halves (the first only), quarters and eighths of the domains, and in a torus the
/// first halves along each side. Source: max-flow min-cut (Ford & Fulkerson 1956), push-relabel of
/// Boost.Graph. Cost: two max-flows a set. Checked by: fabrics_test (worked).
[[nodiscard]] std::vector<CutSet> cut_sets(const Cluster& cluster);

}  // namespace moesim
