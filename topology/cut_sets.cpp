// SPDX-License-Identifier: Apache-2.0
#include "topology/cut_sets.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <utility>

#include "topology/summary.hpp"

namespace moesim {
namespace {

bool is_kind(const Cluster& cluster, VertexId vertex, VertexKind kind) {
  return cluster.vertices[vertex.index()].kind == kind;
}

/// By vertex: the scale-up domain of GPUs and of the switches that join them, -1 of all others.
std::vector<int> domain_of_vertex(const Cluster& cluster) {
  std::vector<int> domain(cluster.vertices.size(), -1);
  for (const GpuPlace& gpu : cluster.gpus) {
    domain[gpu.vertex.index()] = gpu.domain;
  }
  for (bool changed = true; changed;) {
    changed = false;
    for (const Link& link : cluster.links) {
      const int found = domain[link.source.index()];
      int& of_target = domain[link.target.index()];
      if (found >= 0 && of_target < 0 &&
          is_kind(cluster, link.target, VertexKind::kScaleUpSwitch)) {
        of_target = found;
        changed = true;
      }
    }
  }
  return domain;
}

/// What a NIC passes between its domains and its cables.
struct NicRates {
  std::map<int, CutRates> of_domain;  ///< over PCIe
  CutRates cables;
};

std::map<VertexId, NicRates> nic_rates(const Cluster& cluster) {
  const std::vector<int> domain = domain_of_vertex(cluster);
  std::map<VertexId, NicRates> nics;
  for (const Link& link : cluster.links) {
    const bool from_nic = is_kind(cluster, link.source, VertexKind::kNic);
    if (!from_nic && !is_kind(cluster, link.target, VertexKind::kNic)) {
      continue;
    }
    NicRates& nic = nics[from_nic ? link.source : link.target];
    if (link.kind == LinkKind::kNic) {
      (from_nic ? nic.cables.out : nic.cables.in) += link.usable();
    } else if (const int d = domain[(from_nic ? link.target : link.source).index()]; d >= 0) {
      (from_nic ? nic.of_domain[d].in : nic.of_domain[d].out) += link.usable();
    }
  }
  return nics;
}

CutSet make_set(const Cluster& cluster, std::string name, int sort, std::vector<char> inside) {
  CutSet set{std::move(name), sort, std::move(inside), {}};
  set.rates.out = cut_capacity(cluster, set.inside);
  std::vector<char> others = set.inside;
  for (char& side : others) {
    side = side == 0 ? 1 : 0;
  }
  set.rates.in = cut_capacity(cluster, others);
  return set;
}

void add_parts(const Cluster& cluster, int parts, std::vector<CutSet>& sets) {
  for (int part = 0; part < (parts == 2 ? 1 : parts); ++part) {
    const int first = cluster.num_domains * part / parts;
    const int last = cluster.num_domains * (part + 1) / parts;
    std::vector<char> inside(static_cast<std::size_t>(cluster.num_domains), 0);
    std::fill(inside.begin() + first, inside.begin() + last, 1);
    sets.push_back(make_set(cluster,
                            last - first == 1 ? fmt::format("domain {}", first)
                                              : fmt::format("domains {} to {}", first, last - 1),
                            parts,
                            std::move(inside)));
  }
}

/// Half of the routers along each side.
void add_torus_halves(const Cluster& cluster, std::vector<CutSet>& sets) {
  int stride = 1;
  for (std::size_t side = 0; side < cluster.torus.size(); ++side) {
    const int length = cluster.torus[side];
    std::vector<char> inside(static_cast<std::size_t>(cluster.num_domains), 0);
    for (const GpuPlace& gpu : cluster.gpus) {
      const bool first_half = gpu.node / stride % length < length / 2;
      inside[static_cast<std::size_t>(gpu.domain)] = first_half ? 1 : 0;
    }
    if (length > 1) {
      sets.push_back(
          make_set(cluster, fmt::format("first half along {}", "xyz"[side]), 0, std::move(inside)));
    }
    stride *= length;
  }
}

}  // namespace

std::vector<CutRates> domain_rates(const Cluster& cluster) {
  std::vector<CutRates> rates(static_cast<std::size_t>(cluster.num_domains));
  for (const auto& [vertex, nic] : nic_rates(cluster)) {
    // GPUs of two domains that share a NIC meet in it, without its cables.
    const bool alone = nic.of_domain.size() == 1;
    for (const auto& [domain, inside] : nic.of_domain) {
      CutRates& of_domain = rates[static_cast<std::size_t>(domain)];
      of_domain.out += alone ? std::min(inside.out, nic.cables.out) : inside.out;
      of_domain.in += alone ? std::min(inside.in, nic.cables.in) : inside.in;
    }
  }
  return rates;
}

std::vector<CutSet> cut_sets(const Cluster& cluster) {
  std::vector<CutSet> sets;
  for (const int parts : {2, 4, 8}) {
    if (cluster.num_domains >= parts) {
      add_parts(cluster, parts, sets);
    }
  }
  if (cluster.torus[0] > 0 && cluster.num_domains > 1) {
    add_torus_halves(cluster, sets);
  }
  return sets;
}

}  // namespace moesim
