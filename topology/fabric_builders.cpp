// SPDX-License-Identifier: Apache-2.0
// Between the nodes: one plane's leaves, spines, cores or routers.
#include <fmt/core.h>

#include <algorithm>

#include "sim/core/check.hpp"
#include "sim/core/unit_text.hpp"
#include "topology/name_pattern.hpp"
#include "topology/wiring.hpp"

namespace moesim {
namespace {

using Switches = std::vector<VertexId>;

class PlaneBuilder {
 public:
  PlaneBuilder(Cluster& cluster,
               const ClusterSpec& spec,
               const FabricPlan& plan,
               const std::string& prefix)
      : cluster_(cluster), spec_(spec), plan_(plan), prefix_(prefix) {}

  void build(const std::vector<VertexId>& nics) {
    add_leaves();
    cable_nics(nics);
    switch (spec_.fabric.kind) {
      case FabricKind::kSingleSwitch:
        return;
      case FabricKind::kRail:
      case FabricKind::kFatTree:
        return add_cores(add_blocks());
      case FabricKind::kDragonflyPlus:
        return join_groups(add_blocks());
      case FabricKind::kRailOnly:
        return add_rail_spines();
      case FabricKind::kTorus:
        return join_routers();
    }
  }

 private:
  VertexId add_switch(VertexKind kind, const std::string& name) {
    return add_vertex(cluster_, kind, prefix_ + name, -1);
  }
  [[nodiscard]] Cable fabric_cable(BytesPerSecond capacity) const {
    return {LinkKind::kFabric, capacity, spec_.fabric.hop_latency};
  }
  [[nodiscard]] std::int64_t pod_of_leaf(std::size_t leaf) const {
    return static_cast<std::int64_t>(leaf) / plan_.leaves_per_pod;
  }

  [[nodiscard]] std::string leaf_name(std::int64_t pod, std::int64_t rail) const {
    switch (spec_.fabric.kind) {
      case FabricKind::kSingleSwitch:
        return "switch";
      case FabricKind::kRail:
      case FabricKind::kRailOnly:
        return fmt::format("pod{}/rail{}/leaf", pod, rail);
      case FabricKind::kFatTree:
      case FabricKind::kDragonflyPlus:
        return fmt::format("pod{}/leaf", pod);
      case FabricKind::kTorus: {
        const auto [x, y, z] = spec_.fabric.torus;
        return fmt::format("router{}.{}.{}", pod % x, pod / x % y, pod / x / y);
      }
    }
    check_failed(__FILE__, __LINE__, "kind", "a fabric kind without a leaf name");
  }

  void add_leaves() {
    for (std::int64_t leaf = 0; leaf < plan_.leaves(); ++leaf) {
      const auto name = leaf_name(leaf / plan_.leaves_per_pod, leaf % plan_.leaves_per_pod);
      leaves_.push_back(add_switch(VertexKind::kLeaf, name));
    }
  }

  void cable_nics(const std::vector<VertexId>& nics) {
    const std::vector<BytesPerSecond> rates = nic_rates(cluster_, spec_, nics);
    for (std::size_t nic = 0; nic < nics.size(); ++nic) {
      const auto node = static_cast<std::int64_t>(nic) / spec_.nic.per_node;
      const auto rail = static_cast<std::int64_t>(nic) % spec_.nic.per_node;
      const std::int64_t pod = node / nodes_per_leaf(spec_);
      const std::int64_t leaf = pod * plan_.leaves_per_pod + rail % plan_.leaves_per_pod;
      const Cable cable{LinkKind::kNic, rates[nic] / spec_.nic.ports, spec_.nic.latency / 2};
      connect(cluster_, nics[nic], leaves_[static_cast<std::size_t>(leaf)], cable);
    }
  }

  static std::vector<BytesPerSecond> nic_rates(const Cluster& cluster,
                                               const ClusterSpec& spec,
                                               const std::vector<VertexId>& nics) {
    std::vector<BytesPerSecond> rates(nics.size(), spec.nic.bandwidth);
    for (const std::string& text : spec.nic.speeds) {
      const std::optional<NameRule> rule = parse_rule(text);
      const auto rate = rule ? parse_bytes_per_second(rule->value) : std::nullopt;
      MOESIM_CHECK(rate && rate->value > 0, "nic.speeds holds rules");
      for (std::size_t nic = 0; nic < nics.size(); ++nic) {
        if (matches(rule->pattern, cluster.vertices[nics[nic].index()].name)) {
          rates[nic] = *rate;
        }
      }
    }
    return rates;
  }

  /// Spines of every block, joined to all leaves of the block.
  std::vector<Switches> add_blocks() {
    const char* word = spec_.fabric.kind == FabricKind::kDragonflyPlus ? "group" : "block";
    std::vector<Switches> blocks(static_cast<std::size_t>(plan_.blocks));
    for (std::size_t block = 0; block < blocks.size(); ++block) {
      const std::string path = plan_.blocks > 1 ? fmt::format("{}{}/", word, block) : "";
      for (std::int64_t i = 0; i < plan_.spines; ++i) {
        blocks[block].push_back(add_switch(VertexKind::kSpine, fmt::format("{}spine{}", path, i)));
      }
    }
    for (std::size_t leaf = 0; leaf < leaves_.size(); ++leaf) {
      const auto block = static_cast<std::size_t>(pod_of_leaf(leaf) / plan_.pods_per_block);
      for (const VertexId spine : blocks[block]) {
        connect(cluster_, leaves_[leaf], spine, fabric_cable(plan_.uplink));
      }
    }
    return blocks;
  }

  /// Spine i of every block is joined to cores i * cores_per_spine onwards.
  void add_cores(const std::vector<Switches>& blocks) {
    Switches cores;
    for (std::int64_t i = 0; i < plan_.spines * plan_.cores_per_spine; ++i) {
      cores.push_back(add_switch(VertexKind::kCore, fmt::format("core{}", i)));
    }
    const auto each = static_cast<std::size_t>(plan_.cores_per_spine);
    for (const Switches& spines : blocks) {
      for (std::size_t i = 0; i < spines.size() * each; ++i) {
        connect(cluster_, spines[i / each], cores[i], fabric_cable(plan_.core_link));
      }
    }
  }

  /// Spine i of a group is joined to spine i of every other group.
  void join_groups(const std::vector<Switches>& groups) {
    for (std::size_t a = 0; a < groups.size(); ++a) {
      for (std::size_t b = a + 1; b < groups.size(); ++b) {
        for (std::size_t i = 0; i < groups[a].size(); ++i) {
          for (std::int64_t cable = 0; cable < plan_.global_cables; ++cable) {
            connect(cluster_, groups[a][i], groups[b][i], fabric_cable(plan_.core_link));
          }
        }
      }
    }
  }

  void add_rail_spines() {
    const auto rails = static_cast<std::size_t>(plan_.leaves_per_pod);
    for (std::size_t rail = 0; rail < rails; ++rail) {
      Switches spines;
      for (std::int64_t i = 0; i < plan_.spines; ++i) {
        spines.push_back(add_switch(VertexKind::kSpine, fmt::format("rail{}/spine{}", rail, i)));
      }
      for (std::size_t leaf = rail; leaf < leaves_.size(); leaf += rails) {
        for (const VertexId spine : spines) {
          connect(cluster_, leaves_[leaf], spine, fabric_cable(plan_.uplink));
        }
      }
    }
  }

  /// Links along x, then y, then z of each router, so that the first link that leads nearer is that
  /// of the first dimension. A ring of two is one cable.
  void join_routers() {
    cluster_.torus = spec_.fabric.torus;
    std::size_t stride = 1;
    for (const int side : spec_.fabric.torus) {
      const auto length = static_cast<std::size_t>(side);
      for (std::size_t router = 0; length > 1 && router < leaves_.size(); ++router) {
        const std::size_t at = router / stride % length;
        const std::size_t next = router - at * stride + (at + 1) % length * stride;
        if (length > 2 || at == 0) {
          connect(
              cluster_, leaves_[router], leaves_[next], fabric_cable(spec_.fabric.link_bandwidth));
        }
      }
      stride *= length;
    }
  }

  Cluster& cluster_;
  const ClusterSpec& spec_;
  const FabricPlan& plan_;
  const std::string& prefix_;
  Switches leaves_;  ///< pod * leaves_per_pod + rail
};

}  // namespace

int nodes_per_leaf(const ClusterSpec& spec) {
  switch (spec.fabric.kind) {
    case FabricKind::kSingleSwitch:
      return spec.nodes;
    case FabricKind::kTorus:
      return 1;
    default:
      return std::min(spec.nodes, spec.fabric.nodes_per_leaf);
  }
}

void add_plane(Cluster& cluster,
               const ClusterSpec& spec,
               const FabricPlan& plan,
               const std::vector<VertexId>& nics,
               const std::string& prefix) {
  PlaneBuilder(cluster, spec, plan, prefix).build(nics);
}

}  // namespace moesim
