// SPDX-License-Identifier: Apache-2.0
// Contradictions inside [cluster] and [faults].
#include "sim/scenario/cross_checker.hpp"
#include "sim/scenario/fields.hpp"

namespace moesim {
namespace {

std::string fabric_text(const CrossChecker& c, const ClusterSpec& k) {
  return c.other("cluster.fabric.kind",
                 fabric_kind_words()[static_cast<std::size_t>(k.fabric.kind)]);
}
std::string scale_up_text(const CrossChecker& c, const ClusterSpec& k) {
  return c.other("cluster.scale_up.kind",
                 scale_up_kind_words()[static_cast<std::size_t>(k.scale_up.kind)]);
}

void check_cluster(CrossChecker& c, const ClusterSpec& k) {
  const int per_domain = k.scale_up.nodes_per_domain;
  c.check(k.nodes % per_domain != 0,
          "cluster.nodes",
          {"cluster.scale_up.nodes_per_domain"},
          fmt::format("{} is not a multiple of {}",
                      k.nodes,
                      c.other("cluster.scale_up.nodes_per_domain", per_domain)));
  constexpr std::int64_t kMostGpus = 1'000'000;
  const std::int64_t gpus = std::int64_t{k.nodes} * k.gpus_per_node;
  c.check(gpus > kMostGpus,
          "cluster.nodes",
          {"cluster.gpus_per_node"},
          fmt::format("{} nodes with {} are {} GPUs; at most {} are supported",
                      k.nodes,
                      c.other("cluster.gpus_per_node", k.gpus_per_node),
                      gpus,
                      kMostGpus));
  c.check(k.graphml.empty() && k.nic.per_node == 0 && gpus > domain_size(k),
          "cluster.nic.per_node",
          {"cluster.nodes", "cluster.scale_up.nodes_per_domain"},
          fmt::format("0 leaves the scale-up domains of {} unconnected",
                      c.other("cluster.nodes", k.nodes)));
  c.check(k.graphml.empty() && k.nic.per_node > 0 && k.gpus_per_node % k.nic.per_node != 0,
          "cluster.nic.per_node",
          {"cluster.gpus_per_node"},
          fmt::format("{} does not divide {}",
                      k.nic.per_node,
                      c.other("cluster.gpus_per_node", k.gpus_per_node)));
}

/// Keys of the scale-out network that have no default but are needed only where it exists.
void check_scale_out(CrossChecker& c, const ClusterSpec& k) {
  const auto needs = [&](bool needed,
                         std::string_view path,
                         double value,
                         std::string_view because,
                         const std::string& because_text) {
    const bool is_latency = path.ends_with("latency");
    const bool lacks = is_latency ? !c.given(path) : value == 0.0;
    c.check(needed && lacks,
            path,
            {because},
            fmt::format("{}, but needed by {}", c.given(path) ? "zero" : "missing", because_text));
  };
  const bool nics = k.nic.per_node > 0;
  const std::string nic_text = c.other("cluster.nic.per_node", k.nic.per_node);
  needs(nics, "cluster.nic.bandwidth", k.nic.bandwidth.value, "cluster.nic.per_node", nic_text);
  needs(nics,
        "cluster.nic.pcie_bandwidth",
        k.nic.pcie_bandwidth.value,
        "cluster.nic.per_node",
        nic_text);
  needs(nics, "cluster.nic.latency", k.nic.latency.value, "cluster.nic.per_node", nic_text);

  const bool spines = k.fabric.kind != FabricKind::kSingleSwitch;
  const std::string kind_text = fabric_text(c, k);
  needs(spines,
        "cluster.fabric.link_bandwidth",
        k.fabric.link_bandwidth.value,
        "cluster.fabric.kind",
        kind_text);
  needs(spines,
        "cluster.fabric.hop_latency",
        k.fabric.hop_latency.value,
        "cluster.fabric.kind",
        kind_text);
}

void check_scale_up(CrossChecker& c, const ClusterSpec& k) {
  const ScaleUpSpec& up = k.scale_up;
  const std::string kind = scale_up_text(c, k);
  const bool needed = k.graphml.empty() && up.kind != ScaleUpKind::kNone;
  c.check(needed && up.bandwidth.value == 0.0,
          "cluster.scale_up.bandwidth",
          {"cluster.scale_up.kind", "cluster", "cluster.nodes"},
          fmt::format("{}, but needed by {}",
                      c.given("cluster.scale_up.bandwidth") ? "zero" : "missing",
                      kind));
  c.check(needed && !c.given("cluster.scale_up.latency"),
          "cluster.scale_up.latency",
          {"cluster.scale_up.kind", "cluster", "cluster.nodes"},
          fmt::format("missing, but needed by {}", kind));
  const bool pcie = up.kind == ScaleUpKind::kPcie;
  for (const std::string_view key : {"cluster.scale_up.gpus_per_switch",
                                     "cluster.scale_up.sockets",
                                     "cluster.scale_up.socket_bandwidth"}) {
    no_effect(c, !pcie && k.graphml.empty(), key, kind);
  }
  if (!pcie) {
    return;
  }
  c.check(up.nodes_per_domain != 1,
          "cluster.scale_up.nodes_per_domain",
          {"cluster.scale_up.kind"},
          fmt::format("{} does not go with {}; PCIe ends at the node", up.nodes_per_domain, kind));
  c.check(k.gpus_per_node % up.gpus_per_switch != 0,
          "cluster.scale_up.gpus_per_switch",
          {"cluster.gpus_per_node"},
          fmt::format("{} does not divide {}",
                      up.gpus_per_switch,
                      c.other("cluster.gpus_per_node", k.gpus_per_node)));
  const std::string switches = c.other("cluster.scale_up.gpus_per_switch", up.gpus_per_switch);
  c.check(k.gpus_per_node / up.gpus_per_switch < up.sockets,
          "cluster.scale_up.sockets",
          {"cluster.scale_up.gpus_per_switch", "cluster.gpus_per_node"},
          fmt::format("{} is more than the PCIe switches of a node: {}, {}",
                      up.sockets,
                      c.other("cluster.gpus_per_node", k.gpus_per_node),
                      switches));
  c.check(up.sockets == 2 && up.socket_bandwidth.value == 0.0,
          "cluster.scale_up.socket_bandwidth",
          {"cluster.scale_up.sockets"},
          fmt::format("{}, but needed by {}",
                      c.given("cluster.scale_up.socket_bandwidth") ? "zero" : "missing",
                      c.other("cluster.scale_up.sockets", up.sockets)));
  no_effect(c,
            up.sockets == 1,
            "cluster.scale_up.socket_bandwidth",
            c.other("cluster.scale_up.sockets", up.sockets));
}

void check_fabric(CrossChecker& c, const ClusterSpec& k) {
  const FabricSpec& fabric = k.fabric;
  const std::string kind = fabric_text(c, k);
  const bool three_tiers = fabric.tiers == 3;
  c.check(three_tiers && fabric.kind != FabricKind::kRail && fabric.kind != FabricKind::kFatTree,
          "cluster.fabric.tiers",
          {"cluster.fabric.kind"},
          fmt::format("3 does not go with {}; it needs rail or fat_tree", kind));
  const bool blocks = three_tiers || fabric.kind == FabricKind::kDragonflyPlus;
  const std::string tiers = c.other("cluster.fabric.tiers", fabric.tiers);
  for (const std::string_view key :
       {"cluster.fabric.pods_per_block", "cluster.fabric.core_oversubscription"}) {
    no_effect(c, !blocks, key, kind + " and " + tiers);
  }
  const bool torus = fabric.kind == FabricKind::kTorus;
  for (const std::string_view key :
       {"cluster.fabric.torus_x", "cluster.fabric.torus_y", "cluster.fabric.torus_z"}) {
    no_effect(c, !torus, key, kind);
  }
  const auto [x, y, z] = fabric.torus;
  const double routers = double{1} * x * y * z;
  c.check(torus && routers != static_cast<double>(k.nodes),
          "cluster.fabric.torus_x",
          {"cluster.fabric.torus_y", "cluster.fabric.torus_z", "cluster.nodes"},
          fmt::format("{} x {} x {} routers are not one for each of {}",
                      x,
                      y,
                      z,
                      c.other("cluster.nodes", k.nodes)));
}

/// Keys of the parts that a GraphML file replaces, stated beside it. Those of a preset are passed
/// over.
void check_graphml(CrossChecker& c, const ClusterSpec& k) {
  if (k.graphml.empty()) {
    return;
  }
  for (const std::string_view table : {"cluster.scale_up", "cluster.nic", "cluster.fabric"}) {
    const std::optional<std::string> key = c.stated_beside("cluster.graphml", table);
    if (key) {
      no_effect(c, true, *key, c.other("cluster.graphml", k.graphml));
    }
  }
}

void check_faults(CrossChecker& c, const FaultSpec& faults) {
  const bool random = faults.random_links > 0 || faults.random_nics > 0 || faults.random_gpus > 0;
  for (const std::string_view key : {"faults.random_remaining", "faults.seed"}) {
    no_effect(c, !random, key, "no random faults: random_links, random_nics, random_gpus are 0");
  }
  c.check(faults.random_gpus > 0 && faults.random_remaining == 0,
          "faults.random_remaining",
          {"faults.random_gpus"},
          fmt::format("0 would stop the GPUs of {}; a GPU cannot be down",
                      c.other("faults.random_gpus", faults.random_gpus)));
  for (const FaultMistake& mistake : check_rules(faults)) {
    c.check(true, "faults." + mistake.list, {}, mistake.message);
  }
}

}  // namespace

std::int64_t domain_size(const ClusterSpec& k) {
  switch (k.scale_up.kind) {
    case ScaleUpKind::kSwitch:
      return std::int64_t{k.scale_up.nodes_per_domain} * k.gpus_per_node;
    case ScaleUpKind::kPcie:
      return k.gpus_per_node;
    case ScaleUpKind::kNone:
      return 1;
  }
  return 1;
}

void check_cluster_keys(CrossChecker& checker, const Scenario& scenario) {
  check_cluster(checker, scenario.cluster);
  check_graphml(checker, scenario.cluster);
  check_scale_up(checker, scenario.cluster);
  if (scenario.cluster.graphml.empty()) {
    check_scale_out(checker, scenario.cluster);
    check_fabric(checker, scenario.cluster);
  }
  check_faults(checker, scenario.faults);
}

}  // namespace moesim
