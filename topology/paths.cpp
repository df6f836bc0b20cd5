// SPDX-License-Identifier: Apache-2.0
// Paths are put together from three kinds of pieces: a scale-up hop, the ports of a GPU (PCIe and
// NIC links, gpu_ports.hpp), and a shortest path between two leaves (hop_table.hpp).
#include "topology/paths.hpp"

#include <fmt/format.h>

#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/core/rng.hpp"
#include "topology/gpu_ports.hpp"
#include "topology/hop_table.hpp"

namespace moesim {
namespace {

using Links = std::optional<std::vector<LinkId>>;

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
  struct Query {
    GpuId source;
    GpuId target;
    PathPolicy policy = PathPolicy::kEcmp;
    PathScope scope = PathScope::kAny;
    std::uint64_t hash = 0;
  };

  Tables(const Cluster& cluster, LinkFilter filter)
      : fabric(cluster, filter),
        ports(collect_ports(cluster, filter)),
        rails(collect_rails(cluster)) {}

  /// The links from one GPU to another, none when they cannot reach each other.
  [[nodiscard]] Links find(const Cluster& cluster, const Query& query) const;
  /// The reason of a failed find(). Slow: searches the cluster again as if every link were up.
  [[nodiscard]] static std::string_view why_unreachable(const Cluster& cluster, const Query& query);

  [[nodiscard]] Links scale_up(GpuId source, GpuId target, std::uint64_t hash) const;
  [[nodiscard]] Links scale_out(GpuId source, GpuId target, std::uint64_t hash) const;
  [[nodiscard]] Links rail_aligned(const Cluster& cluster, const Query& query) const;

  HopTable fabric;
  std::vector<GpuPorts> ports;  ///< by GpuId
  Rails rails;
};

Links PathFinder::Tables::scale_up(GpuId source, GpuId target, std::uint64_t hash) const {
  const auto pair = cheapest_pair<ScaleUpPort>(
      ports[source.index()].out.scale_up,
      ports[target.index()].in.scale_up,
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
    const std::uint16_t hops = fabric.hops(out.leaf, in.leaf);
    return hops == HopTable::kUnreachable ? kNever : std::uint64_t{hops} + 4;
  };
  const auto pair = cheapest_pair<NicPort>(
      ports[source.index()].out.nic, ports[target.index()].in.nic, hash, links_between);
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
  fabric.append_path(out.leaf, in.leaf, hash, links);
  links.push_back(*in.cable);
  links.push_back(in.pcie);
  return links;
}

Links PathFinder::Tables::rail_aligned(const Cluster& cluster, const Query& query) const {
  const std::optional<GpuId> relay = rails.relay(cluster.place(query.source).node, query.target);
  if (!relay || rails.rail[query.source.index()] == rails.rail[query.target.index()]) {
    return std::nullopt;
  }
  Links links = scale_up(query.source, *relay, query.hash);
  const Links onward = scale_out(*relay, query.target, query.hash);
  if (!links || !onward) {
    return std::nullopt;
  }
  links->insert(links->end(), onward->begin(), onward->end());
  return links;
}

Links PathFinder::Tables::find(const Cluster& cluster, const Query& query) const {
  const auto& [source, target, policy, scope, hash] = query;
  if (scope == PathScope::kAny && cluster.place(source).domain == cluster.place(target).domain) {
    return scale_up(source, target, hash);
  }
  if (policy == PathPolicy::kRailAligned && scope == PathScope::kAny) {
    if (Links aligned = rail_aligned(cluster, query)) {
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
  return unbroken.rails.empty() ? "the cluster has no scale-out network" : "no links join them";
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
