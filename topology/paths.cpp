// SPDX-License-Identifier: Apache-2.0
// Paths are put together from three kinds of pieces: a scale-up hop, the ports of a GPU (PCIe and
// NIC links), and a shortest path between two leaves (hop_table.hpp).
#include "topology/paths.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/core/rng.hpp"
#include "topology/hop_table.hpp"

namespace moesim {
namespace {

using Links = std::optional<std::vector<LinkId>>;

/// A GPU's way to its scale-up switch, or back.
struct ScaleUpPort {
  LinkId link;
  VertexId scale_up_switch;
};

/// A GPU's way through one of its NICs to a leaf, or back.
struct NicPort {
  LinkId pcie;
  VertexId nic;
  std::optional<LinkId> cable;  ///< NIC - leaf; none when all of them are down
  VertexId leaf;
};

struct GpuPorts {
  std::vector<ScaleUpPort> scale_up_out;
  std::vector<ScaleUpPort> scale_up_in;
  std::vector<NicPort> nic_out;
  std::vector<NicPort> nic_in;
};

constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

/// Element number hash % n of the n pairs (out, in) whose cost is the least; none if all are
/// kNever.
template <typename Port, typename Cost>
std::optional<std::pair<Port, Port>> cheapest_pair(std::span<const Port> out,
                                                   std::span<const Port> in,
                                                   std::uint64_t hash,
                                                   const Cost& cost) {
  std::uint64_t least = kNever;
  std::vector<std::pair<Port, Port>> equals;
  for (const Port& o : out) {
    for (const Port& i : in) {
      const std::uint64_t c = cost(o, i);
      if (c < least) {
        least = c;
        equals.clear();
      }
      if (c == least && c != kNever) {
        equals.emplace_back(o, i);
      }
    }
  }
  if (equals.empty()) {
    return std::nullopt;
  }
  return equals[hash % equals.size()];
}

}  // namespace

struct PathFinder::Tables {
  Tables(const Cluster& cluster, LinkFilter filter);

  struct Query {
    GpuId source;
    GpuId target;
    PathPolicy policy = PathPolicy::kEcmp;
    PathScope scope = PathScope::kAny;
    std::uint64_t hash = 0;
  };
  /// The links from one GPU to another, none when they cannot reach each other.
  [[nodiscard]] Links find(const Cluster& cluster, const Query& query) const;
  /// The reason of a failed find(). Slow: searches the cluster again as if every link were up.
  [[nodiscard]] static std::string_view why_unreachable(const Cluster& cluster, const Query& query);

 private:
  void add_ports(const Cluster& cluster, LinkFilter filter);
  static void add_nic_ports(const Cluster& cluster,
                            const NicPort& port,
                            const std::vector<LinkId>& cables,
                            std::vector<NicPort>& ports);
  void add_rails(const Cluster& cluster);
  [[nodiscard]] Links scale_up(GpuId source, GpuId target, std::uint64_t hash) const;
  [[nodiscard]] Links scale_out(GpuId source, GpuId target, std::uint64_t hash) const;
  [[nodiscard]] Links rail_aligned(const Cluster& cluster,
                                   GpuId source,
                                   GpuId target,
                                   std::uint64_t hash) const;

  HopTable fabric_;
  std::vector<GpuPorts> ports_;  ///< by GpuId
  bool has_nics_ = false;
  // The rail of a GPU is the index of its first NIC among the NICs of its node.
  std::vector<std::vector<std::vector<GpuId>>> gpus_of_rail_;  ///< [node][rail]
  std::vector<std::size_t> rail_;                              ///< by GpuId
  std::vector<std::size_t> index_in_rail_;                     ///< by GpuId, within its node
};

PathFinder::Tables::Tables(const Cluster& cluster, LinkFilter filter)
    : fabric_(cluster, filter), ports_(cluster.gpus.size()) {
  add_ports(cluster, filter);
  add_rails(cluster);
}

void PathFinder::Tables::add_ports(const Cluster& cluster, LinkFilter filter) {
  // Cables of each NIC first, so that the ports of a GPU are (PCIe link) x (cable of that NIC).
  std::vector<std::vector<LinkId>> nic_out(cluster.vertices.size());
  std::vector<std::vector<LinkId>> nic_in(cluster.vertices.size());
  for (std::size_t i = 0; i < cluster.links.size(); ++i) {
    const Link& link = cluster.links[i];
    if (link.kind == LinkKind::kNic && admits(filter, link)) {
      const bool outward = cluster.vertices[link.source.index()].kind == VertexKind::kNic;
      auto& cables = outward ? nic_out[link.source.index()] : nic_in[link.target.index()];
      cables.push_back(id_at<LinkId>(i));
    }
  }
  std::vector<std::int32_t> gpu_of_vertex(cluster.vertices.size(), -1);
  for (std::size_t gpu = 0; gpu < cluster.gpus.size(); ++gpu) {
    gpu_of_vertex[cluster.gpus[gpu].vertex.index()] = static_cast<std::int32_t>(gpu);
  }
  for (std::size_t i = 0; i < cluster.links.size(); ++i) {
    const Link& link = cluster.links[i];
    if ((link.kind != LinkKind::kScaleUp && link.kind != LinkKind::kPcie) ||
        !admits(filter, link)) {
      continue;
    }
    const auto id = id_at<LinkId>(i);
    const bool outward = gpu_of_vertex[link.source.index()] >= 0;
    const VertexId gpu_vertex = outward ? link.source : link.target;
    const VertexId other = outward ? link.target : link.source;
    GpuPorts& gpu = ports_[static_cast<std::size_t>(gpu_of_vertex[gpu_vertex.index()])];
    if (link.kind == LinkKind::kScaleUp) {
      (outward ? gpu.scale_up_out : gpu.scale_up_in).push_back({id, other});
    } else {
      add_nic_ports(cluster,
                    NicPort{id, other, std::nullopt, {}},
                    (outward ? nic_out : nic_in)[other.index()],
                    outward ? gpu.nic_out : gpu.nic_in);
    }
  }
}

void PathFinder::Tables::add_nic_ports(const Cluster& cluster,
                                       const NicPort& port,
                                       const std::vector<LinkId>& cables,
                                       std::vector<NicPort>& ports) {
  if (cables.empty()) {
    ports.push_back(port);  // still joins the GPUs that share this NIC
  }
  for (const LinkId cable : cables) {
    const Link& link = cluster.link(cable);
    NicPort whole = port;
    whole.cable = cable;
    whole.leaf = link.source == port.nic ? link.target : link.source;
    ports.push_back(whole);
  }
}

void PathFinder::Tables::add_rails(const Cluster& cluster) {
  std::vector<std::size_t> rail_of_vertex(cluster.vertices.size(), 0);
  for (std::size_t i = 0; i < cluster.vertices.size(); ++i) {
    const Vertex& vertex = cluster.vertices[i];
    if (vertex.kind == VertexKind::kNic) {
      has_nics_ = true;
      const auto node = static_cast<std::size_t>(vertex.node);
      gpus_of_rail_.resize(std::max(gpus_of_rail_.size(), node + 1));
      rail_of_vertex[i] = gpus_of_rail_[node].size();
      gpus_of_rail_[node].emplace_back();
    }
  }
  std::vector<std::optional<VertexId>> nic_of_vertex(cluster.vertices.size());
  for (const Link& link : cluster.links) {
    if (link.kind == LinkKind::kPcie && !nic_of_vertex[link.source.index()]) {
      nic_of_vertex[link.source.index()] = link.target;
    }
  }
  rail_.assign(cluster.gpus.size(), 0);
  index_in_rail_.assign(cluster.gpus.size(), 0);
  for (std::size_t gpu = 0; gpu < cluster.gpus.size(); ++gpu) {
    const GpuPlace& place = cluster.gpus[gpu];
    const std::optional<VertexId> nic = nic_of_vertex[place.vertex.index()];
    if (nic) {
      rail_[gpu] = rail_of_vertex[nic->index()];
      auto& same_rail = gpus_of_rail_[static_cast<std::size_t>(place.node)][rail_[gpu]];
      index_in_rail_[gpu] = same_rail.size();
      same_rail.push_back(id_at<GpuId>(gpu));
    }
  }
}

Links PathFinder::Tables::scale_up(GpuId source, GpuId target, std::uint64_t hash) const {
  const auto pair = cheapest_pair<ScaleUpPort>(
      ports_[source.index()].scale_up_out,
      ports_[target.index()].scale_up_in,
      hash,
      [](const ScaleUpPort& out, const ScaleUpPort& in) {
        return out.scale_up_switch == in.scale_up_switch ? std::uint64_t{2} : kNever;
      });
  if (!pair) {
    return std::nullopt;
  }
  return std::vector<LinkId>{pair->first.link, pair->second.link};
}

Links PathFinder::Tables::scale_out(GpuId source, GpuId target, std::uint64_t hash) const {
  const auto links_between = [&](const NicPort& out, const NicPort& in) {
    if (out.nic == in.nic) {
      return std::uint64_t{2};
    }
    if (!out.cable || !in.cable) {
      return kNever;
    }
    const std::uint16_t hops = fabric_.hops(out.leaf, in.leaf);
    return hops == HopTable::kUnreachable ? kNever : std::uint64_t{hops} + 4;
  };
  const auto pair = cheapest_pair<NicPort>(
      ports_[source.index()].nic_out, ports_[target.index()].nic_in, hash, links_between);
  if (!pair) {
    return std::nullopt;
  }
  const auto& [out, in] = *pair;
  if (out.nic == in.nic) {
    return std::vector<LinkId>{out.pcie, in.pcie};
  }
  std::vector<LinkId> links;
  links.reserve(links_between(out, in));
  links.push_back(out.pcie);
  links.push_back(*out.cable);
  fabric_.append_path(out.leaf, in.leaf, hash, links);
  links.push_back(*in.cable);
  links.push_back(in.pcie);
  return links;
}

Links PathFinder::Tables::rail_aligned(const Cluster& cluster,
                                       GpuId source,
                                       GpuId target,
                                       std::uint64_t hash) const {
  const auto node = static_cast<std::size_t>(cluster.place(source).node);
  if (node >= gpus_of_rail_.size() || rail_[target.index()] >= gpus_of_rail_[node].size()) {
    return std::nullopt;
  }
  const std::vector<GpuId>& relays = gpus_of_rail_[node][rail_[target.index()]];
  if (relays.empty() || rail_[source.index()] == rail_[target.index()]) {
    return std::nullopt;
  }
  const GpuId relay = relays[index_in_rail_[target.index()] % relays.size()];
  Links to_relay = scale_up(source, relay, hash);
  const Links onward = scale_out(relay, target, hash);
  if (!to_relay || !onward) {
    return std::nullopt;
  }
  to_relay->insert(to_relay->end(), onward->begin(), onward->end());
  return to_relay;
}

Links PathFinder::Tables::find(const Cluster& cluster, const Query& query) const {
  const auto& [source, target, policy, scope, hash] = query;
  if (scope == PathScope::kAny && cluster.place(source).domain == cluster.place(target).domain) {
    return scale_up(source, target, hash);
  }
  if (policy == PathPolicy::kRailAligned && scope == PathScope::kAny) {
    if (Links aligned = rail_aligned(cluster, source, target, hash)) {
      return aligned;
    }
  }
  return scale_out(source, target, hash);
}

std::string_view PathFinder::Tables::why_unreachable(const Cluster& cluster, const Query& query) {
  const Tables unbroken(cluster, LinkFilter::kAll);
  if (unbroken.find(cluster, query)) {
    return "every path crosses a link that is down";
  }
  return unbroken.has_nics_ ? "no links join them" : "the cluster has no scale-out network";
}

PathFinder::PathFinder(const Cluster& cluster, PathPolicy policy, std::uint64_t seed)
    : cluster_(cluster),
      policy_(policy),
      seed_(seed),
      tables_(std::make_unique<const Tables>(cluster, LinkFilter::kUsable)) {}

PathFinder::~PathFinder() = default;

Path PathFinder::find(GpuId source, GpuId target, std::uint64_t flow_key, PathScope scope) const {
  MOESIM_CHECK(source.value >= 0 && source.index() < cluster_.gpus.size(), "source is a GPU");
  MOESIM_CHECK(target.value >= 0 && target.index() < cluster_.gpus.size(), "target is a GPU");
  if (source == target) {
    return {};
  }
  const std::uint64_t ends = (std::uint64_t{source.index()} << 32U) | target.index();
  const Tables::Query query{.source = source,
                            .target = target,
                            .policy = policy_,
                            .scope = scope,
                            .hash = mix_hash(mix_hash(seed_, flow_key), ends)};
  Links links = tables_->find(cluster_, query);
  if (!links) {
    throw UserError(fmt::format("no path from {} to {}: {}",
                                cluster_.vertices[cluster_.place(source).vertex.index()].name,
                                cluster_.vertices[cluster_.place(target).vertex.index()].name,
                                Tables::why_unreachable(cluster_, query)));
  }
  Path path;
  path.links = std::move(*links);
  for (const LinkId link : path.links) {
    path.latency += cluster_.link(link).latency;
  }
  return path;
}

}  // namespace moesim
