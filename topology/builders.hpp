// SPDX-License-Identifier: Apache-2.0
// From what a scenario says of its cluster to the graph of GPUs, switches and NICs.
#pragma once

#include <cstdint>

#include "topology/cluster.hpp"

namespace moesim {

/// No cluster has more directed links than this: a mistyped rate ends in a message, not in memory.
inline constexpr std::int64_t kMaxLinks = 20'000'000;

/// Leaves, spines and uplinks of a fabric.
///
///   full_leaf_down = NICs on a full leaf * nic.bandwidth
///   uplinks        = max(1, ceil(full_leaf_down / (oversubscription * link_bandwidth)))
///   uplink         = full_leaf_down / (oversubscription * uplinks)   <=  link_bandwidth
///
/// A full leaf holds one NIC (kRail) or all NICs (kFatTree) of min(nodes, nodes_per_leaf) nodes.
/// Every leaf has one link to each of `uplinks` spines, so that full_leaf_down / (uplinks * uplink)
/// is the oversubscription asked for, exactly. A last leaf with fewer nodes keeps all its uplinks.
/// No spines when there is only one leaf; one ideal leaf for kSingleSwitch.
/// Source: two-level folded Clos (Clos 1953; Al-Fares et al., SIGCOMM 2008); rail leaves as in the
/// NVIDIA DGX SuperPOD reference architecture.
/// Valid for: one NIC port per leaf link, identical leaves. No third tier.
/// Checked by: builders_test (worked, property).
struct FabricPlan {
  std::int64_t pods = 0;            ///< groups of nodes_per_leaf nodes
  std::int64_t leaves_per_pod = 0;  ///< rails (kRail) or 1
  std::int64_t spines = 0;          ///< = uplinks of a leaf
  BytesPerSecond uplink;            ///< of one leaf-spine link; 0 without spines

  [[nodiscard]] std::int64_t leaves() const { return pods * leaves_per_pod; }
};
/// Throws UserError when the fabric would need more than kMaxLinks links.
[[nodiscard]] FabricPlan plan_fabric(const ClusterSpec& spec);

/// The cluster graph. Every cable is a pair of directed links, one each way.
///
/// Vertices in order: GPUs (node-major), scale-up switches, NICs (node-major), leaves (by pod, then
/// rail), spines. GPU i of a node uses NIC i * per_node / gpus_per_node. A scale-up domain has one
/// switch vertex; without scale-up bandwidth every GPU is a domain of its own and has none.
/// Latency: scale_up.latency / 2 on GPU - switch, nic.latency / 2 on NIC - leaf, hop_latency on
/// switch - switch, 0 on GPU - NIC; so a path's latency is the sum over its links.
/// Equal specs give equal clusters. Throws UserError as plan_fabric does.
/// Checked by: builders_test (worked, property).
[[nodiscard]] Cluster build_cluster(const ClusterSpec& spec);

}  // namespace moesim
