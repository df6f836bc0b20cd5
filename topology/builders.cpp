// SPDX-License-Identifier: Apache-2.0
#include "topology/builders.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "sim/core/check.hpp"
#include "sim/core/diagnostics.hpp"
#include "topology/wiring.hpp"

namespace moesim {
namespace {

std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

void check_scale_up(const ClusterSpec& spec) {
  const ScaleUpSpec& up = spec.scale_up;
  MOESIM_CHECK(up.nodes_per_domain > 0 && spec.nodes % up.nodes_per_domain == 0,
               "nodes_per_domain divides nodes");
  MOESIM_CHECK(up.bandwidth.value >= 0, "scale-up bandwidth is not negative");
  if (up.kind == ScaleUpKind::kPcie) {
    MOESIM_CHECK(up.nodes_per_domain == 1 && up.bandwidth.value > 0, "a PCIe domain is one node");
    MOESIM_CHECK(up.gpus_per_switch > 0 && spec.gpus_per_node % up.gpus_per_switch == 0,
                 "gpus_per_switch divides gpus_per_node");
    MOESIM_CHECK(up.sockets == 1 || (up.sockets == 2 && up.socket_bandwidth.value > 0),
                 "a node has one socket, or two that are joined");
    MOESIM_CHECK(spec.gpus_per_node / up.gpus_per_switch >= up.sockets,
                 "every socket has a PCIe switch");
  }
}

void check_fabric(const ClusterSpec& spec) {
  const FabricSpec& fabric = spec.fabric;
  if (fabric.kind == FabricKind::kSingleSwitch) {
    return;
  }
  MOESIM_CHECK(fabric.link_bandwidth.value > 0, "a fabric has links");
  MOESIM_CHECK(fabric.nodes_per_leaf > 0 && fabric.oversubscription > 0,
               "a fabric has leaves and uplinks");
  MOESIM_CHECK(fabric.pods_per_block > 0 && fabric.core_oversubscription > 0,
               "blocks have pods and a way out");
  if (fabric.kind == FabricKind::kTorus) {
    const auto [x, y, z] = fabric.torus;
    MOESIM_CHECK(x > 0 && y > 0 && z > 0 && std::int64_t{x} * y * z == spec.nodes,
                 "the sides of a torus multiply to its nodes");
  }
}

void check_spec(const ClusterSpec& spec) {
  MOESIM_CHECK(spec.nodes > 0 && spec.gpus_per_node > 0, "a cluster has nodes and GPUs");
  check_scale_up(spec);
  MOESIM_CHECK(spec.nic.per_node >= 0 && spec.nic.ports > 0, "NICs are counted");
  if (spec.nic.per_node == 0) {
    return;
  }
  MOESIM_CHECK(spec.gpus_per_node % spec.nic.per_node == 0, "per_node divides gpus_per_node");
  MOESIM_CHECK(spec.nic.bandwidth.value > 0 && spec.nic.pcie_bandwidth.value > 0,
               "NICs have bandwidth");
  check_fabric(spec);
}

/// Links that carry `wanted`; a double, since a mistyped rate may ask for 10^12.
double links_for(BytesPerSecond wanted, const FabricSpec& fabric) {
  // (1 - 1e-12): a quotient that is whole but for its rounding must not gain a link.
  return std::max(1.0, std::ceil(wanted / fabric.link_bandwidth * (1 - 1e-12)));
}

void check_size(const ClusterSpec& spec, double fabric_links) {
  const double gpus = double{1} * spec.nodes * spec.gpus_per_node;
  const double nics = double{1} * spec.nodes * spec.nic.per_node;
  const double ports = spec.nic.ports;
  const double links = 4 * gpus + 2 * nics * ports + fabric_links * ports;
  if (links > static_cast<double>(kMaxLinks)) {
    throw UserError(
        fmt::format("cluster \"{}\" needs {:.3g} links, at most {} are allowed; fewer nodes, or a "
                    "higher fabric.link_bandwidth or fabric.nodes_per_leaf",
                    spec.name,
                    links,
                    kMaxLinks));
  }
}

/// Cores above the spines of several blocks, or cables between the spines of several groups.
void plan_top(const ClusterSpec& spec, FabricPlan& plan, double uplinks) {
  const FabricSpec& fabric = spec.fabric;
  const bool groups = fabric.kind == FabricKind::kDragonflyPlus;
  const double leaf_links = 2 * static_cast<double>(plan.leaves()) * uplinks;
  if (!groups && fabric.tiers < 3) {
    check_size(spec, leaf_links);
    return;
  }
  plan.pods_per_block = std::min<std::int64_t>(plan.pods, fabric.pods_per_block);
  plan.blocks = ceil_div(plan.pods, plan.pods_per_block);
  if (plan.blocks == 1) {
    check_size(spec, leaf_links);
    return;
  }
  const auto leaves = static_cast<double>(plan.pods_per_block * plan.leaves_per_pod);
  const BytesPerSecond spine_up = plan.uplink * leaves / fabric.core_oversubscription;
  const BytesPerSecond wanted = groups ? spine_up / static_cast<double>(plan.blocks - 1) : spine_up;
  const double cables = links_for(wanted, fabric);
  const double spines = uplinks * static_cast<double>(plan.blocks);
  const double ways = groups ? static_cast<double>(plan.blocks - 1) : 2;
  check_size(spec, leaf_links + spines * cables * ways);
  plan.core_link = wanted / cables;
  (groups ? plan.global_cables : plan.cores_per_spine) = static_cast<std::int64_t>(cables);
}

bool has_rails(const ClusterSpec& spec) {
  return spec.fabric.kind == FabricKind::kRail || spec.fabric.kind == FabricKind::kRailOnly;
}

}  // namespace

FabricPlan plan_fabric(const ClusterSpec& spec) {
  check_spec(spec);
  FabricPlan plan;
  if (spec.nic.per_node == 0) {
    check_size(spec, 0);
    return plan;
  }
  plan.pods = ceil_div(spec.nodes, nodes_per_leaf(spec));
  plan.leaves_per_pod = has_rails(spec) ? spec.nic.per_node : 1;
  plan.pods_per_block = plan.pods;
  const bool one_hop =
      plan.leaves() == 1 || (spec.fabric.kind == FabricKind::kRailOnly && plan.pods == 1);
  if (one_hop || spec.fabric.kind == FabricKind::kTorus) {
    check_size(spec, one_hop ? 0 : 6 * static_cast<double>(plan.leaves()));
    return plan;
  }
  const double nics_per_leaf =
      double{1} * nodes_per_leaf(spec) * (has_rails(spec) ? 1 : spec.nic.per_node);
  const BytesPerSecond full_leaf_down = spec.nic.bandwidth / spec.nic.ports * nics_per_leaf;
  const double uplinks = links_for(full_leaf_down / spec.fabric.oversubscription, spec.fabric);
  plan.uplink = full_leaf_down / (spec.fabric.oversubscription * uplinks);
  plan_top(spec, plan, uplinks);
  plan.spines = static_cast<std::int64_t>(uplinks);
  return plan;
}

Cluster build_cluster(const ClusterSpec& spec) {
  const FabricPlan plan = plan_fabric(spec);
  Cluster cluster;
  cluster.name = spec.name;
  cluster.gpu = spec.gpu;
  const std::vector<VertexId> nics = add_hosts(cluster, spec);
  if (!nics.empty()) {
    for (int plane = 0; plane < spec.nic.ports; ++plane) {
      add_plane(cluster,
                spec,
                plan,
                nics,
                spec.nic.ports > 1 ? fmt::format("plane{}/", plane) : std::string());
    }
  }
  return cluster;
}

}  // namespace moesim
