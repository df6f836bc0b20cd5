// SPDX-License-Identifier: Apache-2.0
// From what a scenario says of its cluster to the graph of GPUs, switches and NICs.
#pragma once

#include <cstdint>

#include "topology/cluster.hpp"

namespace moesim {

/// No cluster has more directed links than this: a mistyped rate ends in a message, not in memory.
inline constexpr std::int64_t kMaxLinks = 20'000'000;

/// Leaves, spines, cores and their links, of one plane of a fabric.
///
///   full_leaf_down = NICs on a full leaf * nic.bandwidth / nic.ports
///   uplinks        = max(1, ceil(full_leaf_down / (oversubscription * link_bandwidth)))
///   uplink         = full_leaf_down / (oversubscription * uplinks)   <=  link_bandwidth
///
/// A full leaf holds one NIC (kRail, kRailOnly) or all NICs (kFatTree, kDragonflyPlus) of
/// min(nodes, nodes_per_leaf) nodes. Every leaf has one link to each of `uplinks` spines, so that
/// full_leaf_down / (uplinks * uplink) is the oversubscription asked for, exactly. A last leaf with
/// fewer nodes keeps all its uplinks. No spines when there is only one leaf; one ideal leaf for
/// kSingleSwitch. Above that, with L the leaves of a full block of min(pods, pods_per_block) pods:
///
///   spine_up = L * uplink / core_oversubscription
///   3 tiers:    cores_per_spine = max(1, ceil(spine_up / link_bandwidth)), core_link = spine_up /
///               cores_per_spine; spine i of every block has a link to each of its own cores
///   dragonfly+: spine i has global_cables = max(1, ceil(pair / link_bandwidth)) cables of pair /
///               global_cables to spine i of each other group, pair = spine_up / (groups - 1)
///   torus:      link_bandwidth to each neighbour; a ring of two routers is one cable
///
/// Source: folded Clos (Clos 1953; Al-Fares et al., SIGCOMM 2008); rail leaves as in the NVIDIA DGX
/// SuperPOD reference architecture; Dragonfly+ (Shpiner et al., HiPINEB 2017); rail-only (Wang et
/// al., HotI 2024). Valid for: identical leaves; faults and mixed NICs do not change the plan.
/// Checked by: builders_test, fabrics_test (worked), topology_property_test.
struct FabricPlan {
  std::int64_t pods = 0;            ///< groups of nodes_per_leaf nodes
  std::int64_t leaves_per_pod = 0;  ///< rails (kRail) or 1
  std::int64_t spines = 0;          ///< of one block (kRailOnly: of one rail) = uplinks of a leaf
  BytesPerSecond uplink;            ///< of one leaf-spine link; 0 without spines
  std::int64_t pods_per_block = 1;
  std::int64_t blocks = 1;           ///< sets of spines; groups of a dragonfly+
  std::int64_t cores_per_spine = 0;  ///< 0 without a third tier
  std::int64_t global_cables = 0;    ///< between two spines of a dragonfly+
  BytesPerSecond core_link;          ///< of one spine-core link or global cable

  [[nodiscard]] std::int64_t leaves() const { return pods * leaves_per_pod; }
};
/// Throws UserError when the fabric would need more than kMaxLinks links.
[[nodiscard]] FabricPlan plan_fabric(const ClusterSpec& spec);

/// The cluster graph. Every cable is a pair of directed links, one each way.
///
/// Vertices in order: GPUs (node-major), scale-up switches, NICs (node-major), then by plane leaves
/// (by pod, then rail), spines, cores. GPU i of a node uses NIC i * per_node / gpus_per_node. A
/// scale-up domain has one switch vertex; without scale-up bandwidth every GPU is a domain of its
/// own and has none. A PCIe node has a tree of PCIe switches and sockets, and its NICs hang on the
/// switch of their first GPU.
/// Latency: scale_up.latency / 2 on GPU - switch, nic.latency / 2 on NIC - leaf, hop_latency on
/// switch - switch, 0 on GPU - NIC; so a path's latency is the sum over its links.
/// Equal specs give equal clusters. Throws UserError as plan_fabric does.
/// Checked by: builders_test (worked, property).
[[nodiscard]] Cluster build_cluster(const ClusterSpec& spec);

}  // namespace moesim
