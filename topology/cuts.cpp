// SPDX-License-Identifier: Apache-2.0
#include "topology/cuts.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <limits>
#include <map>
#include <optional>

#include "topology/cut_sets.hpp"

namespace moesim {
namespace {

/// Keeps the slowest of the cuts it is shown.
class Slowest {
 public:
  Slowest(const Cluster& cluster, Bytes per_pair)
      : all_(static_cast<double>(cluster.gpus.size())), per_pair_(per_pair) {}

  void show(std::string name, int gpus, BytesPerSecond capacity) {
    Cut cut{std::move(name), gpus, capacity, {std::numeric_limits<double>::infinity()}};
    if (capacity.value > 0) {
      cut.all_to_all = per_pair_ * (gpus * (all_ - gpus)) / capacity;
    }
    if (!found || cut.all_to_all > found->all_to_all) {
      found = std::move(cut);
    }
  }

  std::optional<Cut> found;

 private:
  double all_;
  Bytes per_pair_;
};

Slowest slowest_gpu(const Cluster& cluster, Bytes per_pair) {
  std::vector<BytesPerSecond> out(cluster.vertices.size());
  std::vector<BytesPerSecond> in(cluster.vertices.size());
  for (const Link& link : cluster.links) {
    out[link.source.index()] += link.usable();
    in[link.target.index()] += link.usable();
  }
  Slowest slowest(cluster, per_pair);
  for (const GpuPlace& gpu : cluster.gpus) {
    const std::string& name = cluster.vertices[gpu.vertex.index()].name;
    slowest.show(fmt::format("GPU {} out", name), 1, out[gpu.vertex.index()]);
    slowest.show(fmt::format("GPU {} in", name), 1, in[gpu.vertex.index()]);
  }
  return slowest;
}

Slowest slowest_domain(const Cluster& cluster, Bytes per_pair) {
  Slowest slowest(cluster, per_pair);
  const std::vector<CutRates> rates = domain_rates(cluster);
  for (std::size_t d = 0; d < rates.size(); ++d) {
    slowest.show(fmt::format("domain {} out", d), cluster.gpus_per_domain, rates[d].out);
  }
  for (std::size_t d = 0; d < rates.size(); ++d) {
    slowest.show(fmt::format("domain {} in", d), cluster.gpus_per_domain, rates[d].in);
  }
  return slowest;
}

}  // namespace

std::vector<Cut> slowest_cuts(const Cluster& cluster, Bytes per_pair) {
  std::vector<Slowest> sorts;
  if (cluster.gpus.size() > 1) {
    sorts.push_back(slowest_gpu(cluster, per_pair));
  }
  if (cluster.num_domains > 1) {
    sorts.push_back(slowest_domain(cluster, per_pair));
  }
  std::map<int, std::size_t> of_sort;  // into sorts
  for (const CutSet& set : cut_sets(cluster)) {
    const auto [at, is_new] = of_sort.emplace(set.sort, sorts.size());
    if (is_new) {
      sorts.emplace_back(cluster, per_pair);
    }
    const auto domains = static_cast<int>(std::count(set.inside.begin(), set.inside.end(), 1));
    const int gpus = domains * cluster.gpus_per_domain;
    sorts[at->second].show(set.name + " out", gpus, set.rates.out);
    sorts[at->second].show(set.name + " in", gpus, set.rates.in);
  }
  std::vector<Cut> cuts;
  for (Slowest& sort : sorts) {
    if (sort.found) {
      cuts.push_back(std::move(*sort.found));
    }
  }
  std::stable_sort(cuts.begin(), cuts.end(), [](const Cut& a, const Cut& b) {
    return a.all_to_all > b.all_to_all;
  });
  // With few domains two sorts hold the same set; the slower finding is the tighter bound.
  std::vector<Cut> distinct;
  for (Cut& cut : cuts) {
    const auto same = [&](const Cut& kept) { return kept.name == cut.name; };
    if (std::none_of(distinct.begin(), distinct.end(), same)) {
      distinct.push_back(std::move(cut));
    }
  }
  return distinct;
}

}  // namespace moesim
