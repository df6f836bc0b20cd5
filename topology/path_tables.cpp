// SPDX-License-Identifier: Apache-2.0
#include "topology/path_tables.hpp"

#include <algorithm>
#include <limits>

#include "sim/core/rng.hpp"

namespace moesim {
namespace {

constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

/// Which of n equals a flow takes.
std::uint64_t pick(const PathQuery& query, std::uint64_t n) {
  return (query.by_destination ? query.target.index() : query.hash) % n;
}

std::vector<std::vector<GpuId>> gpus_by_node(const Cluster& cluster) {
  std::vector<std::vector<GpuId>> nodes;
  for (std::size_t gpu = 0; gpu < cluster.gpus.size(); ++gpu) {
    const auto node = static_cast<std::size_t>(cluster.gpus[gpu].node);
    nodes.resize(std::max(nodes.size(), node + 1));
    nodes[node].push_back(id_at<GpuId>(gpu));
  }
  return nodes;
}

void append(std::vector<LinkId>& links, const std::vector<LinkId>& more) {
  links.insert(links.end(), more.begin(), more.end());
}

}  // namespace

PathTables::PathTables(const Cluster& cluster, LinkFilter filter)
    : cluster_(cluster),
      fabric_(cluster, filter),
      hosts_(cluster, filter),
      ports_(collect_ports(cluster, hosts_, filter)),
      rails_(collect_rails(cluster)),
      gpus_of_node_(gpus_by_node(cluster)) {}

std::optional<PathTables::Links> PathTables::scale_up(GpuId source,
                                                      GpuId target,
                                                      const PathQuery& query) const {
  std::vector<Links> equals;  // over one scale-up switch
  for (const ScaleUpPort& out : ports_[source.index()].out.scale_up) {
    for (const ScaleUpPort& in : ports_[target.index()].in.scale_up) {
      if (out.scale_up_switch == in.scale_up_switch) {
        equals.push_back({out.link, in.link});
      }
    }
  }
  if (!equals.empty()) {
    return equals[pick(query, equals.size())];
  }
  return hosts_.find(cluster_.place(source).vertex, cluster_.place(target).vertex);
}

std::uint64_t PathTables::links_between(const NicPort& out, const NicPort& in) const {
  const std::uint64_t inside = out.pcie.size() + in.pcie.size();
  if (out.nic == in.nic) {
    return inside;
  }
  if (!out.cable || !in.cable) {
    return kNever;
  }
  const std::uint16_t hops = fabric_.hops(out.leaf, in.leaf);
  return hops == HopTable::kUnreachable ? kNever : inside + hops + 2;
}

std::vector<PathTables::PortPair> PathTables::nearest_ports(GpuId source, GpuId target) const {
  std::uint64_t least = kNever;
  std::vector<PortPair> equals;
  for (const NicPort& out : ports_[source.index()].out.nic) {
    for (const NicPort& in : ports_[target.index()].in.nic) {
      const std::uint64_t links = links_between(out, in);
      if (links < least) {
        least = links;
        equals.clear();
      }
      // Two ports of one NIC that meet in it are one way.
      const bool repeats = out.nic == in.nic && !equals.empty() &&
                           equals.back().out->nic == out.nic && equals.back().in->nic == in.nic;
      if (links == least && links != kNever && !repeats) {
        equals.push_back({&out, &in});
      }
    }
  }
  return equals;
}

PathTables::Links PathTables::one_way(const PortPair& pair, const PathQuery& query) const {
  const auto& [out, in] = pair;
  Links links = out->pcie;
  if (out->nic != in->nic) {
    links.push_back(*out->cable);
    std::uint64_t destination = query.target.index();
    const bool dimension_order = cluster_.torus[0] > 0;
    const auto next = [&](VertexId at, std::uint64_t equals) -> std::uint64_t {
      if (!query.by_destination) {
        return mix_hash(query.hash, static_cast<std::uint64_t>(at.value)) % equals;
      }
      const std::uint64_t choice = dimension_order ? 0 : destination % equals;
      destination /= equals;
      return choice;
    };
    fabric_.append_path(out->leaf, in->leaf, next, links);
    links.push_back(*in->cable);
  }
  append(links, in->pcie);
  return links;
}

PathTables::Links PathTables::numbered_way(const PortPair& pair, std::uint64_t number) const {
  const auto& [out, in] = pair;
  Links links = out->pcie;
  if (out->nic != in->nic) {
    links.push_back(*out->cable);
    fabric_.append_path_number(out->leaf, in->leaf, number, links);
    links.push_back(*in->cable);
  }
  append(links, in->pcie);
  return links;
}

std::vector<PathTables::Links> PathTables::spread(const std::vector<PortPair>& pairs,
                                                  const PathQuery& query) const {
  std::vector<std::uint64_t> count;
  std::uint64_t all = 0;
  for (const PortPair& pair : pairs) {
    count.push_back(
        pair.out->nic == pair.in->nic ? 1 : fabric_.count_paths(pair.out->leaf, pair.in->leaf));
    all += count.back();
  }
  const auto wanted = std::min<std::uint64_t>(all, static_cast<std::uint64_t>(query.max_paths));
  std::vector<Links> paths;
  for (std::uint64_t i = 0; i < wanted; ++i) {
    // A first path by hash, then at even distances.
    std::uint64_t number = (query.hash % all + all / wanted * i) % all;
    std::size_t pair = 0;
    for (; number >= count[pair]; ++pair) {
      number -= count[pair];
    }
    paths.push_back(numbered_way(pairs[pair], number));
  }
  return paths;
}

std::vector<PathTables::Links> PathTables::scale_out(GpuId source,
                                                     GpuId target,
                                                     const PathQuery& query) const {
  const std::vector<PortPair> pairs = nearest_ports(source, target);
  if (pairs.empty()) {
    return {};
  }
  if (query.max_paths > 1) {
    return spread(pairs, query);
  }
  return {one_way(pairs[pick(query, pairs.size())], query)};
}

std::vector<PathTables::Links> PathTables::rail_aligned(const PathQuery& query) const {
  const auto relay = rails_.relay(cluster_.place(query.source).node, query.target);
  if (!relay || rails_.rail[query.source.index()] == rails_.rail[query.target.index()]) {
    return {};
  }
  const std::optional<Links> hop = scale_up(query.source, *relay, query);
  if (!hop) {
    return {};
  }
  std::vector<Links> paths = scale_out(*relay, query.target, query);
  for (Links& path : paths) {
    path.insert(path.begin(), hop->begin(), hop->end());
  }
  return paths;
}

/// The fewest links over a GPU of the source's node and one of the target's node, as when NICs are
/// down.
std::vector<PathTables::Links> PathTables::around_nics(const PathQuery& query) const {
  const auto& sources = gpus_of_node_[static_cast<std::size_t>(cluster_.place(query.source).node)];
  const auto& targets = gpus_of_node_[static_cast<std::size_t>(cluster_.place(query.target).node)];
  std::vector<Links> equals;
  for (const GpuId from : sources) {
    const auto before = from == query.source ? Links{} : scale_up(query.source, from, query);
    for (std::size_t i = 0; before && i < targets.size(); ++i) {
      const GpuId to = targets[i];
      const auto after = to == query.target ? Links{} : scale_up(to, query.target, query);
      const std::vector<Links> between = after ? scale_out(from, to, query) : std::vector<Links>{};
      if (between.empty()) {
        continue;
      }
      Links path = *before;
      append(path, between.front());
      append(path, *after);
      if (!equals.empty() && path.size() < equals.front().size()) {
        equals.clear();
      }
      if (equals.empty() || path.size() == equals.front().size()) {
        equals.push_back(std::move(path));
      }
    }
  }
  return equals.empty() ? equals : std::vector<Links>{equals[pick(query, equals.size())]};
}

std::vector<PathTables::Links> PathTables::find(const PathQuery& query) const {
  const auto& [source, target, policy, scope, by_destination, hash, max_paths] = query;
  if (scope == PathScope::kAny && cluster_.place(source).domain == cluster_.place(target).domain) {
    const std::optional<Links> links = scale_up(source, target, query);
    return links ? std::vector<Links>{*links} : std::vector<Links>{};
  }
  const bool forwards = policy == PathPolicy::kRailAligned && scope == PathScope::kAny;
  std::vector<Links> paths = forwards ? rail_aligned(query) : std::vector<Links>{};
  if (paths.empty()) {
    paths = scale_out(source, target, query);
  }
  return paths.empty() && forwards ? around_nics(query) : paths;
}

}  // namespace moesim
