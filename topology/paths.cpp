// SPDX-License-Identifier: Apache-2.0
#include "topology/paths.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/core/rng.hpp"
#include "topology/path_tables.hpp"

namespace moesim {
namespace {

/// The reason of a failed search. Slow: searches the cluster again as if every link were up.
std::string why_unreachable(const Cluster& cluster, const PathQuery& query) {
  const PathTables unbroken(cluster, LinkFilter::kAll);
  if (!unbroken.find(query).empty()) {
    const std::string cut = broken_cut(cluster, query.source, query.target, query.scope);
    return "every path crosses a link that is down" + (cut.empty() ? "" : ": " + cut);
  }
  return unbroken.has_no_nics() ? "the cluster has no scale-out network" : "no links join them";
}

/// Usable bytes/s of the narrowest cable or fabric link of a path; of all links when it has none.
double narrowest(const Cluster& cluster, const std::vector<LinkId>& links) {
  double least = -1;
  double least_outside = -1;
  const auto lower = [](double& value, double rate) {
    value = value < 0 ? rate : std::min(value, rate);
  };
  for (const LinkId id : links) {
    const Link& link = cluster.link(id);
    lower(least, link.usable().value);
    if (link.kind == LinkKind::kNic || link.kind == LinkKind::kFabric) {
      lower(least_outside, link.usable().value);
    }
  }
  return least_outside < 0 ? least : least_outside;
}

Path make_path(const Cluster& cluster, std::vector<LinkId> links) {
  Path path;
  path.links = std::move(links);
  for (const LinkId link : path.links) {
    path.latency += cluster.link(link).latency;
  }
  return path;
}

}  // namespace

struct PathFinder::Tables {
  explicit Tables(const Cluster& cluster) : usable(cluster, LinkFilter::kUsable) {}

  [[nodiscard]] std::vector<PathTables::Links> find(const Cluster& cluster,
                                                    const PathQuery& query) const {
    MOESIM_CHECK(query.source.value >= 0 && query.source.index() < cluster.gpus.size(),
                 "source is a GPU");
    MOESIM_CHECK(query.target.value >= 0 && query.target.index() < cluster.gpus.size(),
                 "target is a GPU");
    if (query.source == query.target) {
      return {PathTables::Links{}};
    }
    std::vector<PathTables::Links> paths = usable.find(query);
    if (paths.empty()) {
      const auto name = [&](GpuId gpu) {
        return cluster.vertices[cluster.place(gpu).vertex.index()].name;
      };
      throw UserError(fmt::format("no path from {} to {}: {}",
                                  name(query.source),
                                  name(query.target),
                                  why_unreachable(cluster, query)));
    }
    return paths;
  }

  PathTables usable;
};

PathFinder::PathFinder(const Cluster& cluster,
                       PathPolicy policy,
                       std::uint64_t seed,
                       PathSpread spread)
    : cluster_(cluster),
      policy_(policy),
      seed_(seed),
      spread_(spread),
      tables_(std::make_unique<const Tables>(cluster)) {}

PathFinder::~PathFinder() = default;

Path PathFinder::find(GpuId source, GpuId target, std::uint64_t flow_key, PathScope scope) const {
  const std::uint64_t ends = (std::uint64_t{source.index()} << 32U) | target.index();
  const PathQuery query{.source = source,
                        .target = target,
                        .policy = policy_,
                        .scope = scope,
                        .by_destination = spread_.choice == PathChoice::kStatic,
                        .hash = mix_hash(mix_hash(seed_, flow_key), ends),
                        .max_paths = 1};
  return make_path(cluster_, tables_->find(cluster_, query).front());
}

std::vector<PathShare> PathFinder::find_all(GpuId source,
                                            GpuId target,
                                            std::uint64_t flow_key,
                                            PathScope scope) const {
  const bool splits =
      spread_.choice == PathChoice::kSpray || spread_.choice == PathChoice::kAdaptive;
  if (!splits || spread_.max_paths == 1) {
    return {{find(source, target, flow_key, scope), 1.0}};
  }
  const std::uint64_t ends = (std::uint64_t{source.index()} << 32U) | target.index();
  const PathQuery query{.source = source,
                        .target = target,
                        .policy = policy_,
                        .scope = scope,
                        .by_destination = false,
                        .hash = mix_hash(mix_hash(seed_, flow_key), ends),
                        .max_paths = spread_.max_paths};
  std::vector<PathTables::Links> paths = tables_->find(cluster_, query);
  std::vector<double> weight(paths.size(), 1.0);
  double sum = 0;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    if (spread_.choice == PathChoice::kAdaptive) {
      weight[i] = narrowest(cluster_, paths[i]);
    }
    sum += weight[i];
  }
  std::vector<PathShare> shares;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    const double share = paths.size() == 1 ? 1.0 : weight[i] / sum;
    shares.push_back({make_path(cluster_, std::move(paths[i])), share});
  }
  return shares;
}

}  // namespace moesim
