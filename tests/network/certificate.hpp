// SPDX-License-Identifier: Apache-2.0
// The max-min certificate of a running fluid engine (INV-2), from its rates alone.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "sim/network/fluid.hpp"

namespace moesim::testing {

/// Empty if every class is at its cap or crosses a full link on which nobody is faster, and no link
/// carries more than its capacity; else what is wrong. Call it when no change is unsolved.
inline std::string certificate_breach(const FairShare& share, double tolerance = 1e-9) {
  const ClassTable& classes = share.classes();
  std::vector<double> load(classes.num_links(), 0.0);
  std::vector<double> fastest(classes.num_links(), 0.0);
  std::vector<double> capacity(classes.num_links(), 0.0);
  for (std::size_t l = 0; l < capacity.size(); ++l) {
    capacity[l] = classes.capacity(l);
  }
  const auto for_each_live = [&](const auto& visit) {
    for (std::size_t c = 0; c < classes.size(); ++c) {
      if (classes[static_cast<std::int32_t>(c)].owner >= 0) {
        visit(static_cast<std::int32_t>(c));
      }
    }
  };
  for_each_live([&](std::int32_t c) {
    const double flows = classes[c].weight;
    for (const std::int32_t link : classes.links(c)) {
      const auto l = static_cast<std::size_t>(link);
      load[l] += share.rate(c) * flows;
      fastest[l] = std::max(fastest[l], share.rate(c));
      if (capacity[l] == 0.0) {  // a cap
        capacity[l] = classes.cap(l) * flows;
      }
    }
  });
  for (std::size_t l = 0; l < load.size(); ++l) {
    if (load[l] > capacity[l] * (1 + tolerance)) {
      return "link " + std::to_string(l) + " is overloaded";
    }
  }
  std::string breach;
  for_each_live([&](std::int32_t c) {
    const auto path = classes.links(c);
    const bool has_bottleneck = std::any_of(path.begin(), path.end(), [&](std::int32_t link) {
      const auto l = static_cast<std::size_t>(link);
      return load[l] >= capacity[l] * (1 - tolerance) &&
             share.rate(c) >= fastest[l] * (1 - tolerance);
    });
    if (!has_bottleneck) {
      breach = "class " + std::to_string(c) + " could be faster";
    }
  });
  return breach;
}

}  // namespace moesim::testing
