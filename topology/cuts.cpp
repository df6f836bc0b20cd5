// SPDX-License-Identifier: Apache-2.0
#include "topology/cuts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "topology/summary.hpp"

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

constexpr std::string_view direction(bool out) {
  return out ? "out" : "in";
}

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

/// A NIC passes no more than its PCIe links and no more than its cables.
std::vector<BytesPerSecond> nic_rates(const Cluster& cluster, bool out) {
  std::vector<BytesPerSecond> inside(cluster.vertices.size());
  std::vector<BytesPerSecond> outside(cluster.vertices.size());
  for (const Link& link : cluster.links) {
    if (link.kind == LinkKind::kPcie) {
      inside[(out ? link.target : link.source).index()] += link.usable();
    } else if (link.kind == LinkKind::kNic) {
      outside[(out ? link.source : link.target).index()] += link.usable();
    }
  }
  for (std::size_t i = 0; i < inside.size(); ++i) {
    inside[i] = std::min(inside[i], outside[i]);
  }
  return inside;
}

Slowest slowest_domain(const Cluster& cluster, Bytes per_pair) {
  std::vector<int> domain_of_host;
  for (const GpuPlace& gpu : cluster.gpus) {
    domain_of_host.resize(std::max(domain_of_host.size(), static_cast<std::size_t>(gpu.node) + 1),
                          0);
    domain_of_host[static_cast<std::size_t>(gpu.node)] = gpu.domain;
  }
  Slowest slowest(cluster, per_pair);
  for (const bool out : {true, false}) {
    const std::vector<BytesPerSecond> rates = nic_rates(cluster, out);
    std::vector<BytesPerSecond> of_domain(static_cast<std::size_t>(cluster.num_domains));
    for (std::size_t i = 0; i < cluster.vertices.size(); ++i) {
      const Vertex& vertex = cluster.vertices[i];
      if (vertex.kind == VertexKind::kNic) {
        const int domain = domain_of_host[static_cast<std::size_t>(vertex.node)];
        of_domain[static_cast<std::size_t>(domain)] += rates[i];
      }
    }
    for (std::size_t d = 0; d < of_domain.size(); ++d) {
      slowest.show(
          fmt::format("domain {} {}", d, direction(out)), cluster.gpus_per_domain, of_domain[d]);
    }
  }
  return slowest;
}

void show_set(Slowest& slowest,
              const Cluster& cluster,
              const std::string& name,
              std::vector<char> inside) {
  const auto domains = static_cast<int>(std::count(inside.begin(), inside.end(), 1));
  const int gpus = domains * cluster.gpus_per_domain;
  slowest.show(name + " out", gpus, cut_capacity(cluster, inside));
  for (char& side : inside) {
    side = side == 0 ? 1 : 0;
  }
  slowest.show(name + " in", gpus, cut_capacity(cluster, inside));
}

Slowest slowest_part(const Cluster& cluster, int parts, Bytes per_pair) {
  Slowest slowest(cluster, per_pair);
  for (int part = 0; part < (parts == 2 ? 1 : parts); ++part) {
    const int first = cluster.num_domains * part / parts;
    const int last = cluster.num_domains * (part + 1) / parts;
    std::vector<char> inside(static_cast<std::size_t>(cluster.num_domains), 0);
    std::fill(inside.begin() + first, inside.begin() + last, 1);
    show_set(slowest,
             cluster,
             last - first == 1 ? fmt::format("domain {}", first)
                               : fmt::format("domains {} to {}", first, last - 1),
             inside);
  }
  return slowest;
}

/// Half of the routers along one side of a torus.
Slowest slowest_torus_half(const Cluster& cluster, Bytes per_pair) {
  Slowest slowest(cluster, per_pair);
  int stride = 1;
  for (std::size_t side = 0; side < cluster.torus.size(); ++side) {
    const int length = cluster.torus[side];
    std::vector<char> inside(static_cast<std::size_t>(cluster.num_domains), 0);
    for (const GpuPlace& gpu : cluster.gpus) {
      const bool first_half = gpu.node / stride % length < length / 2;
      inside[static_cast<std::size_t>(gpu.domain)] = first_half ? 1 : 0;
    }
    if (length > 1) {
      show_set(slowest, cluster, fmt::format("first half along {}", "xyz"[side]), inside);
    }
    stride *= length;
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
  for (const int parts : {2, 4, 8}) {
    if (cluster.num_domains >= parts) {
      sorts.push_back(slowest_part(cluster, parts, per_pair));
    }
  }
  if (cluster.torus[0] > 0 && cluster.num_domains > 1) {
    sorts.push_back(slowest_torus_half(cluster, per_pair));
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
