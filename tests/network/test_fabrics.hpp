// SPDX-License-Identifier: Apache-2.0
// Three small fabrics as bare link lists, so that network tests and benchmarks need no cluster.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "sim/core/rng.hpp"
#include "sim/network/workload.hpp"

namespace moesim::testing {

struct Fabric {
  const char* name = "";
  std::vector<BytesPerSecond> capacity;
  PathLookup path;
};

inline constexpr int kGpusPerNode = 8;

/// 50 GB/s up and down per GPU on an ideal switch: 2 links a path.
inline Fabric star(int gpus) {
  return {.name = "star",
          .capacity = std::vector<BytesPerSecond>(2 * static_cast<std::size_t>(gpus),
                                                  gigabytes_per_second(50)),
          .path = [gpus](GpuId s, GpuId t) {
            return std::vector<LinkId>{{s.value}, {gpus + t.value}};
          }};
}

/// Links by kind, each kind a block of ids: scale-up out and in, NIC up and down, leaf up and down.
struct FabricLinks {
  int gpus = 0;
  int num_leaf_links = 0;

  [[nodiscard]] LinkId scale_up_out(int g) const { return {g}; }
  [[nodiscard]] LinkId scale_up_in(int g) const { return {gpus + g}; }
  [[nodiscard]] LinkId nic_up(int g) const { return {2 * gpus + g}; }
  [[nodiscard]] LinkId nic_down(int g) const { return {3 * gpus + g}; }
  [[nodiscard]] LinkId leaf_up(int i) const { return {4 * gpus + i}; }
  [[nodiscard]] LinkId leaf_down(int i) const { return {4 * gpus + num_leaf_links + i}; }
  [[nodiscard]] std::vector<BytesPerSecond> capacity() const {
    const auto g = static_cast<std::size_t>(gpus);
    std::vector<BytesPerSecond> all(2 * g, gigabytes_per_second(450));
    all.resize(4 * g + 2 * static_cast<std::size_t>(num_leaf_links), gigabytes_per_second(50));
    return all;
  }
};

/// One of the 32 up-links of a leaf, by hash of the pair.
inline int hashed_uplink(GpuId s, GpuId t) {
  return static_cast<int>(
      mix_hash(static_cast<std::uint64_t>(s.value), static_cast<std::uint64_t>(t.value)) % 32U);
}

/// NVSwitch nodes of 8 (450 GB/s per GPU and direction), a 50 GB/s NIC per GPU, a leaf per rail and
/// 32 nodes with 32 up-links, spines. Between nodes: a scale-up hop to the GPU on the target's
/// rail.
inline Fabric rail(int gpus) {
  const int pods = (gpus / kGpusPerNode + 31) / 32;
  const FabricLinks links{.gpus = gpus, .num_leaf_links = pods * kGpusPerNode * 32};
  return {.name = "rail", .capacity = links.capacity(), .path = [links](GpuId s, GpuId t) {
            const int node = s.value / kGpusPerNode;
            const int rail = t.value % kGpusPerNode;
            const int relay = node * kGpusPerNode + rail;
            if (node == t.value / kGpusPerNode) {
              return std::vector{links.scale_up_out(s.value), links.scale_up_in(t.value)};
            }
            std::vector<LinkId> path;
            if (relay != s.value) {
              path = {links.scale_up_out(s.value), links.scale_up_in(relay)};
            }
            path.push_back(links.nic_up(relay));
            const int pod_s = node / 32;
            const int pod_t = t.value / kGpusPerNode / 32;
            if (pod_s != pod_t) {
              const int up = hashed_uplink({relay}, t);
              path.push_back(links.leaf_up((pod_s * kGpusPerNode + rail) * 32 + up));
              path.push_back(links.leaf_down((pod_t * kGpusPerNode + rail) * 32 + up));
            }
            path.push_back(links.nic_down(t.value));
            return path;
          }};
}

/// The same nodes; all 32 NICs of 4 nodes on one leaf with 32 up-links, spines, no scale-up hop.
inline Fabric fat_tree(int gpus) {
  const int leaves = (gpus / kGpusPerNode + 3) / 4;
  const FabricLinks links{.gpus = gpus, .num_leaf_links = leaves * 32};
  return {.name = "fat tree", .capacity = links.capacity(), .path = [links](GpuId s, GpuId t) {
            if (s.value / kGpusPerNode == t.value / kGpusPerNode) {
              return std::vector{links.scale_up_out(s.value), links.scale_up_in(t.value)};
            }
            const int leaf_s = s.value / kGpusPerNode / 4;
            const int leaf_t = t.value / kGpusPerNode / 4;
            std::vector<LinkId> path{links.nic_up(s.value)};
            if (leaf_s != leaf_t) {
              const int up = hashed_uplink(s, t);
              path.push_back(links.leaf_up(leaf_s * 32 + up));
              path.push_back(links.leaf_down(leaf_t * 32 + up));
            }
            path.push_back(links.nic_down(t.value));
            return path;
          }};
}

}  // namespace moesim::testing
