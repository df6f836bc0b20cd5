// SPDX-License-Identifier: Apache-2.0
// The cluster as values: GPUs, switches and NICs (vertices) joined by directed links. No time here.
// Builders make it from a ClusterSpec (builders.hpp); Boost.Graph algorithms run on
// fabric_graph.hpp.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "sim/core/ids.hpp"
#include "sim/core/units.hpp"

namespace moesim {

/// One GPU model. Dense (no sparsity) peak rates; constants come from scenarios/clusters/*.toml.
struct GpuSpec {
  std::string name;
  Bytes memory;
  BytesPerSecond memory_bandwidth;
  FlopsPerSecond bf16_rate;
  FlopsPerSecond fp8_rate;
  int sms = 0;  ///< streaming multiprocessors
};

enum class ScaleUpKind {
  kSwitch,  ///< NVLink/NVSwitch: one switch a domain
  kPcie,    ///< no NVLink: PCIe switches, CPU sockets and the links between these
  kNone,    ///< every GPU is a domain of its own
};

/// GPUs joined by NVLink/NVSwitch. A domain spans one node (HGX) or many (NVL72: 18 nodes of 4).
struct ScaleUpSpec {
  int nodes_per_domain = 1;
  BytesPerSecond bandwidth;  ///< per GPU and direction
  Seconds latency;           ///< one way, GPU to GPU (kPcie: of one PCIe switch)
  ScaleUpKind kind = ScaleUpKind::kSwitch;
  int gpus_per_switch = 1;               ///< kPcie: GPUs under one PCIe switch
  int sockets = 1;                       ///< kPcie: CPU sockets of a node, 1 or 2
  BytesPerSecond socket_bandwidth = {};  ///< kPcie: between two sockets, per direction
};

struct NicSpec {
  int per_node = 0;  ///< 0: no scale-out network; else GPU i uses NIC i * per_node / gpus_per_node
  BytesPerSecond bandwidth;       ///< per NIC and direction, on the wire
  BytesPerSecond pcie_bandwidth;  ///< per GPU and direction, GPU to NIC
  Seconds latency;                ///< one way, both NICs of a path and the leaf between them
  int ports = 1;  ///< of one NIC, each with bandwidth / ports and a plane (fabric) of its own
  std::vector<std::string> speeds = {};  ///< "NIC name: bandwidth" where it differs (rules.hpp)
};

enum class FabricKind {
  kSingleSwitch,  ///< every NIC on one ideal switch
  kRail,      ///< NIC i of every node of a pod on leaf i (rail-optimised), leaves joined by spines
  kFatTree,   ///< all NICs of nodes_per_leaf nodes on one leaf, leaves joined by spines
  kRailOnly,  ///< rails whose spines join leaves of one rail only: no way between rails
  kDragonflyPlus,  ///< fat trees of pods_per_block leaves, every two joined spine to spine
  kTorus,          ///< one router a node, each linked to its neighbours on a 1-D, 2-D or 3-D ring
};

struct FabricSpec {
  FabricKind kind = FabricKind::kSingleSwitch;
  int nodes_per_leaf = 32;        ///< nodes served by one leaf (by one leaf of each rail)
  double oversubscription = 1.0;  ///< leaf down-capacity / leaf up-capacity, >= some positive ratio
  BytesPerSecond link_bandwidth;  ///< of one leaf-spine link, per direction
  Seconds hop_latency;            ///< of one switch-to-switch link, switch included
  int tiers = 2;           ///< kRail, kFatTree: 3 joins blocks of pods_per_block pods by cores
  int pods_per_block = 8;  ///< pods under one set of spines: tiers = 3 and kDragonflyPlus
  /// Spine capacity towards the leaves / towards cores (kDragonflyPlus: towards other groups).
  double core_oversubscription = 1.0;
  std::array<int, 3> torus = {1, 1, 1};  ///< kTorus: routers along x, y and z
};

/// What a scenario says of its cluster.
struct ClusterSpec {
  std::string name;
  int nodes = 0;
  int gpus_per_node = 0;
  GpuSpec gpu;
  ScaleUpSpec scale_up;
  NicSpec nic;
  FabricSpec fabric;
  std::string graphml = {};  ///< file that replaces scale_up, nic and fabric; "" for none
};

enum class VertexKind { kGpu, kScaleUpSwitch, kNic, kLeaf, kSpine, kCore };
inline constexpr int kNumVertexKinds = 6;
enum class LinkKind {
  kScaleUp,  ///< GPU - scale-up switch
  kPcie,     ///< GPU - NIC; in PCIe nodes also GPU, NIC - PCIe switch - socket - socket
  kNic,      ///< NIC - leaf
  kFabric,   ///< switch - switch
};
inline constexpr int kNumLinkKinds = 4;
/// "gpu", "scale_up_switch", "nic", "leaf", "spine", "core"
[[nodiscard]] std::string_view to_text(VertexKind kind);
/// "scale_up", "pcie", "nic", "fabric"
[[nodiscard]] std::string_view to_text(LinkKind kind);

struct Vertex {
  VertexKind kind = VertexKind::kGpu;
  std::string name;  ///< "node3/gpu5", "node3/nic5", "pod0/rail5/leaf", "spine7", ...
  int node = -1;     ///< host, -1 for fabric switches and for switches that span hosts
};

struct Link {
  VertexId source;
  VertexId target;
  LinkKind kind = LinkKind::kScaleUp;
  BytesPerSecond capacity;  ///< nominal, before health
  Seconds latency;
  double health = 1.0;             ///< usable fraction of the capacity, 0 = down
  BytesPerSecond background = {};  ///< taken by traffic that is not ours, < capacity * health

  [[nodiscard]] BytesPerSecond usable() const { return capacity * health - background; }
};

/// Where a GPU sits.
struct GpuPlace {
  VertexId vertex;
  int node = 0;
  int domain = 0;           ///< scale-up domain
  int index_in_domain = 0;  ///< also its rail within one-node domains
  double speed = 1.0;       ///< of its compute, 1 = nominal
};

struct Cluster {
  std::string name;
  GpuSpec gpu;
  std::vector<Vertex> vertices;  ///< by VertexId
  std::vector<Link> links;       ///< by LinkId
  std::vector<GpuPlace> gpus;    ///< by GpuId, node-major
  int num_domains = 0;
  int gpus_per_domain = 0;
  /// Sides of a torus, {0, 0, 0} of any other fabric. Static paths in a torus are
  /// dimension-ordered.
  std::array<int, 3> torus = {0, 0, 0};

  [[nodiscard]] const Link& link(LinkId id) const { return links[id.index()]; }
  [[nodiscard]] const GpuPlace& place(GpuId id) const { return gpus[id.index()]; }
  /// "node0/nic3 -> pod0/rail3/leaf"
  [[nodiscard]] std::string link_name(LinkId id) const;
};

/// Usable bytes/s of every link, by LinkId: capacity * health - background.
[[nodiscard]] std::vector<BytesPerSecond> usable_capacities(const Cluster& cluster);

}  // namespace moesim
