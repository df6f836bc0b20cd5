// SPDX-License-Identifier: Apache-2.0
// A cluster in a few numbers: what `moesim topology` prints.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "topology/cluster.hpp"

namespace moesim {

struct TopologySummary {
  std::array<int, kNumVertexKinds> vertices{};  ///< by VertexKind
  std::array<int, kNumLinkKinds> links{};       ///< directed links, by LinkKind
  int links_down = 0;                           ///< health 0
  int links_degraded = 0;                       ///< health between 0 and 1

  // Usable rates (capacity * health), summed over the links that point away from the GPUs.
  BytesPerSecond scale_up_injection;  ///< GPU -> scale-up switch
  BytesPerSecond pcie_injection;      ///< GPU -> NIC
  BytesPerSecond nic_injection;       ///< NIC -> leaf
  BytesPerSecond leaf_up;             ///< leaf -> spine

  std::optional<double> oversubscription;   ///< nic_injection / leaf_up; none without spines
  std::optional<BytesPerSecond> bisection;  ///< see bisection(); none for a single domain
};
[[nodiscard]] TopologySummary summarise(const Cluster& cluster);

/// Scale-out rate from the first half of the scale-up domains to the second (the first has one
/// domain less when their number is odd).
///
///   max flow from all GPUs of the first half to all GPUs of the second, over PCIe, NIC and fabric
///   links, each at capacity * health, in whole bytes/s (coarser when all links exceed 1e18
///   bytes/s)
///
/// By max-flow min-cut it bounds the traffic between these two halves, whatever the paths. It is
/// the bisection bandwidth of fabrics whose domains are alike (all the builders make); the worst
/// of all splits is not searched for (NP-hard).
/// Source: Ford & Fulkerson 1956; push-relabel of Boost.Graph.
/// Valid for: any cluster graph with at least two domains. ECMP collisions may keep real traffic
/// below it.
/// Cost: 15 ms at 4096 GPUs. Checked by: summary_test (worked, property).
[[nodiscard]] BytesPerSecond bisection(const Cluster& cluster);

/// The same max flow from the domains marked 1 to the others.
[[nodiscard]] BytesPerSecond cut_capacity(const Cluster& cluster,
                                          const std::vector<char>& domain_sends);

}  // namespace moesim
