// SPDX-License-Identifier: Apache-2.0
// Cuts of a cluster and the least time that an all-to-all takes over them.
#pragma once

#include <string>
#include <vector>

#include "sim/core/units.hpp"
#include "topology/cluster.hpp"

namespace moesim {

/// A set of GPUs that send to all others (or receive from them).
struct Cut {
  std::string name;         ///< "GPU node0/gpu3 out", "domains 0 to 3 in", ...
  int gpus = 0;             ///< on the side that is named
  BytesPerSecond capacity;  ///< no more can cross, whatever the paths
  Seconds all_to_all;       ///< gpus * (all - gpus) * bytes a pair / capacity; infinite when 0
};

/// Lower bounds of an all-to-all in which every GPU sends `per_pair` to every other GPU:
///
///   T >= |S| * (G - |S|) * per_pair / capacity(S -> rest), for every set S of GPUs
///
/// Tried: each single GPU (capacity: the sum of its links), each scale-up domain (each NIC the less
/// of its PCIe links and its cables, summed), and by max-flow the aligned halves, quarters and
/// eighths of the domains, in a torus also its halves along each side. Both directions. Of each
/// sort only the slowest is returned, the slowest sort first, none twice. Source: max-flow min-cut
/// (Ford & Fulkerson 1956), push-relabel of Boost.Graph. Valid for: any paths and any schedule,
/// relays included. Left out: latency; all other sets, so a worse cut may exist. Rates are nominal
/// * health - background, without efficiencies. Checked by: fabrics_test (worked), INV-3 property
/// (no simulated all-to-all beats it).
[[nodiscard]] std::vector<Cut> slowest_cuts(const Cluster& cluster, Bytes per_pair);

}  // namespace moesim
