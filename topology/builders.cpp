// SPDX-License-Identifier: Apache-2.0
#include "topology/builders.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/core/diagnostics.hpp"

namespace moesim {
namespace {

std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

/// What a cable carries, the same both ways.
struct Cable {
  LinkKind kind = LinkKind::kScaleUp;
  BytesPerSecond capacity;
  Seconds latency;
};

VertexId add_vertex(Cluster& cluster, VertexKind kind, std::string name, int node) {
  cluster.vertices.push_back({.kind = kind, .name = std::move(name), .node = node});
  return id_at<VertexId>(cluster.vertices.size() - 1);
}

void connect(Cluster& cluster, VertexId lower, VertexId upper, const Cable& cable) {
  for (const auto& [source, target] : {std::pair(lower, upper), std::pair(upper, lower)}) {
    cluster.links.push_back({.source = source,
                             .target = target,
                             .kind = cable.kind,
                             .capacity = cable.capacity,
                             .latency = cable.latency});
  }
}

void check_spec(const ClusterSpec& spec) {
  MOESIM_CHECK(spec.nodes > 0 && spec.gpus_per_node > 0, "a cluster has nodes and GPUs");
  MOESIM_CHECK(
      spec.scale_up.nodes_per_domain > 0 && spec.nodes % spec.scale_up.nodes_per_domain == 0,
      "nodes_per_domain divides nodes");
  MOESIM_CHECK(spec.scale_up.bandwidth.value >= 0, "scale-up bandwidth is not negative");
  MOESIM_CHECK(spec.nic.per_node >= 0, "NICs are counted");
  if (spec.nic.per_node == 0) {
    return;
  }
  MOESIM_CHECK(spec.gpus_per_node % spec.nic.per_node == 0, "per_node divides gpus_per_node");
  MOESIM_CHECK(spec.nic.bandwidth.value > 0 && spec.nic.pcie_bandwidth.value > 0,
               "NICs have bandwidth");
  if (spec.fabric.kind != FabricKind::kSingleSwitch) {
    MOESIM_CHECK(spec.fabric.nodes_per_leaf > 0 && spec.fabric.oversubscription > 0 &&
                     spec.fabric.link_bandwidth.value > 0,
                 "a fabric has leaves and uplinks");
  }
}

int nodes_per_leaf(const ClusterSpec& spec) {
  return spec.fabric.kind == FabricKind::kSingleSwitch
             ? spec.nodes
             : std::min(spec.nodes, spec.fabric.nodes_per_leaf);
}

/// How many spines a full leaf wants; a double, since a mistyped rate may ask for 10^12.
double uplinks_wanted(const ClusterSpec& spec, BytesPerSecond full_leaf_down) {
  // (1 - 1e-12): a quotient that is whole but for its rounding must not gain a spine.
  const double exact = full_leaf_down / (spec.fabric.link_bandwidth * spec.fabric.oversubscription);
  return std::max(1.0, std::ceil(exact * (1 - 1e-12)));
}

void check_size(const ClusterSpec& spec, double fabric_links) {
  const double gpus = double{1} * spec.nodes * spec.gpus_per_node;
  const double links = 4 * gpus + 2.0 * spec.nodes * spec.nic.per_node + fabric_links;
  if (links > static_cast<double>(kMaxLinks)) {
    throw UserError(
        fmt::format("cluster \"{}\" needs {:.3g} links, at most {} are allowed; fewer nodes, or a "
                    "higher fabric.link_bandwidth or fabric.nodes_per_leaf",
                    spec.name,
                    links,
                    kMaxLinks));
  }
}

/// The vertices made so far, by kind and in order.
struct Parts {
  std::vector<VertexId> nics;    ///< node * per_node + i
  std::vector<VertexId> leaves;  ///< pod * leaves_per_pod + rail
};

void add_gpus(Cluster& cluster, const ClusterSpec& spec) {
  const bool has_scale_up = spec.scale_up.bandwidth.value > 0;
  cluster.gpus_per_domain = has_scale_up ? spec.gpus_per_node * spec.scale_up.nodes_per_domain : 1;
  for (int node = 0; node < spec.nodes; ++node) {
    for (int i = 0; i < spec.gpus_per_node; ++i) {
      const VertexId vertex =
          add_vertex(cluster, VertexKind::kGpu, fmt::format("node{}/gpu{}", node, i), node);
      const int gpu = node * spec.gpus_per_node + i;
      cluster.gpus.push_back({.vertex = vertex,
                              .node = node,
                              .domain = gpu / cluster.gpus_per_domain,
                              .index_in_domain = gpu % cluster.gpus_per_domain});
    }
  }
  cluster.num_domains = static_cast<int>(cluster.gpus.size()) / cluster.gpus_per_domain;
}

void add_scale_up(Cluster& cluster, const ClusterSpec& spec) {
  if (cluster.gpus_per_domain == 1) {
    return;
  }
  const Cable cable{LinkKind::kScaleUp, spec.scale_up.bandwidth, spec.scale_up.latency / 2};
  const bool one_host = spec.scale_up.nodes_per_domain == 1;
  std::vector<VertexId> switches;
  switches.reserve(static_cast<std::size_t>(cluster.num_domains));
  for (int domain = 0; domain < cluster.num_domains; ++domain) {
    switches.push_back(add_vertex(cluster,
                                  VertexKind::kScaleUpSwitch,
                                  fmt::format("domain{}/switch", domain),
                                  one_host ? domain : -1));
  }
  for (const GpuPlace& gpu : cluster.gpus) {
    connect(cluster, gpu.vertex, switches[static_cast<std::size_t>(gpu.domain)], cable);
  }
}

std::vector<VertexId> add_nics(Cluster& cluster, const ClusterSpec& spec) {
  std::vector<VertexId> nics;
  for (int node = 0; node < spec.nodes; ++node) {
    for (int i = 0; i < spec.nic.per_node; ++i) {
      nics.push_back(
          add_vertex(cluster, VertexKind::kNic, fmt::format("node{}/nic{}", node, i), node));
    }
  }
  const Cable pcie{LinkKind::kPcie, spec.nic.pcie_bandwidth, Seconds{}};
  const int gpus_per_nic = nics.empty() ? 0 : spec.gpus_per_node / spec.nic.per_node;
  for (std::size_t gpu = 0; !nics.empty() && gpu < cluster.gpus.size(); ++gpu) {
    connect(cluster,
            cluster.gpus[gpu].vertex,
            nics[gpu / static_cast<std::size_t>(gpus_per_nic)],
            pcie);
  }
  return nics;
}

std::string leaf_name(FabricKind kind, std::int64_t pod, std::int64_t rail) {
  switch (kind) {
    case FabricKind::kSingleSwitch:
      return "switch";
    case FabricKind::kRail:
      return fmt::format("pod{}/rail{}/leaf", pod, rail);
    case FabricKind::kFatTree:
      return fmt::format("pod{}/leaf", pod);
  }
  check_failed(__FILE__, __LINE__, "kind", "a fabric kind without a leaf name");
}

void add_leaves(Cluster& cluster, const ClusterSpec& spec, const FabricPlan& plan, Parts& parts) {
  for (std::int64_t leaf = 0; leaf < plan.leaves(); ++leaf) {
    const std::string name =
        leaf_name(spec.fabric.kind, leaf / plan.leaves_per_pod, leaf % plan.leaves_per_pod);
    parts.leaves.push_back(add_vertex(cluster, VertexKind::kLeaf, name, -1));
  }
  const Cable cable{LinkKind::kNic, spec.nic.bandwidth, spec.nic.latency / 2};
  for (std::size_t nic = 0; nic < parts.nics.size(); ++nic) {
    const auto node = static_cast<std::int64_t>(nic) / spec.nic.per_node;
    const auto rail = static_cast<std::int64_t>(nic) % spec.nic.per_node;
    const std::int64_t pod = node / nodes_per_leaf(spec);
    const std::int64_t leaf = pod * plan.leaves_per_pod + rail % plan.leaves_per_pod;
    connect(cluster, parts.nics[nic], parts.leaves[static_cast<std::size_t>(leaf)], cable);
  }
}

void add_spines(Cluster& cluster,
                const ClusterSpec& spec,
                const FabricPlan& plan,
                const Parts& parts) {
  const Cable cable{LinkKind::kFabric, plan.uplink, spec.fabric.hop_latency};
  std::vector<VertexId> spines;
  for (std::int64_t i = 0; i < plan.spines; ++i) {
    spines.push_back(add_vertex(cluster, VertexKind::kSpine, fmt::format("spine{}", i), -1));
  }
  for (const VertexId leaf : parts.leaves) {
    for (const VertexId spine : spines) {
      connect(cluster, leaf, spine, cable);
    }
  }
}

}  // namespace

FabricPlan plan_fabric(const ClusterSpec& spec) {
  check_spec(spec);
  FabricPlan plan;
  if (spec.nic.per_node == 0) {
    check_size(spec, 0);
    return plan;
  }
  const bool rails = spec.fabric.kind == FabricKind::kRail;
  plan.pods = ceil_div(spec.nodes, nodes_per_leaf(spec));
  plan.leaves_per_pod = rails ? spec.nic.per_node : 1;
  if (plan.leaves() == 1) {
    check_size(spec, 0);
    return plan;
  }
  const double nics_per_leaf = double{1} * nodes_per_leaf(spec) * (rails ? 1 : spec.nic.per_node);
  const BytesPerSecond full_leaf_down = spec.nic.bandwidth * nics_per_leaf;
  const double uplinks = uplinks_wanted(spec, full_leaf_down);
  check_size(spec, 2 * static_cast<double>(plan.leaves()) * uplinks);
  plan.spines = static_cast<std::int64_t>(uplinks);
  plan.uplink = full_leaf_down / (spec.fabric.oversubscription * uplinks);
  return plan;
}

Cluster build_cluster(const ClusterSpec& spec) {
  const FabricPlan plan = plan_fabric(spec);
  Cluster cluster;
  cluster.name = spec.name;
  cluster.gpu = spec.gpu;
  add_gpus(cluster, spec);
  add_scale_up(cluster, spec);
  Parts parts;
  parts.nics = add_nics(cluster, spec);
  add_leaves(cluster, spec, plan, parts);
  add_spines(cluster, spec, plan, parts);
  return cluster;
}

}  // namespace moesim
