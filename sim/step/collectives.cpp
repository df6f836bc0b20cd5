// SPDX-License-Identifier: Apache-2.0
#include "sim/step/collectives.hpp"

#include <algorithm>
#include <map>
#include <span>

namespace moesim {
namespace {

/// The members of a group by scale-up domain.
std::vector<std::vector<GpuId>> by_domain(const Cluster& cluster, const std::vector<GpuId>& group) {
  std::map<int, std::vector<GpuId>> domains;
  for (const GpuId gpu : group) {
    domains[cluster.place(gpu).domain].push_back(gpu);
  }
  std::vector<std::vector<GpuId>> members;
  for (auto& [domain, gpus] : domains) {
    members.push_back(std::move(gpus));
  }
  return members;
}

/// The members in the order of ring `ring`: domain q from its (ring - q)-th member round to the one
/// before, whose rail the next domain's first member is on.
std::vector<GpuId> ring_order(const std::vector<std::vector<GpuId>>& domains, std::size_t ring) {
  std::vector<GpuId> order;
  for (std::size_t q = 0; q < domains.size(); ++q) {
    const std::size_t n = domains[q].size();
    for (std::size_t i = 0; i < n; ++i) {
      order.push_back(domains[q][(ring + n - q % n + i) % n]);
    }
  }
  return order;
}

}  // namespace

Seconds ring_time(const RingFabric& fabric,
                  const std::vector<std::vector<GpuId>>& groups,
                  Bytes size) {
  std::vector<BatchFlow> flows;
  Seconds latency;
  std::size_t most = 1;
  for (const std::vector<GpuId>& group : groups) {
    const std::size_t members = group.size();
    if (members < 2 || size.value <= 0) {
      continue;
    }
    most = std::max(most, members);
    const auto domains = by_domain(*fabric.cluster, group);
    std::size_t rings = members;
    for (const std::vector<GpuId>& domain : domains) {
      rings = std::min(rings, domain.size());
    }
    const double sent = size.value * static_cast<double>(members - 1) /
                        static_cast<double>(members) / static_cast<double>(rings);
    for (std::size_t ring = 0; ring < rings; ++ring) {
      const std::vector<GpuId> order = ring_order(domains, ring);
      for (std::size_t i = 0; i < members; ++i) {
        const Path path = fabric.finder->find(order[i], order[(i + 1) % members], flows.size());
        flows.push_back({.links = path.links, .bytes = bytes(sent)});
        latency = std::max(latency, path.latency);
      }
    }
  }
  if (flows.empty()) {
    return {};
  }
  const auto network = make_network(fabric.engine, fabric.capacity);
  const BatchResult batch = run_batch(*network, flows);
  const SimTime last = *std::max_element(batch.finish.begin(), batch.finish.end());
  return fabric.start + static_cast<double>(most - 1) * latency + last.to_seconds();
}

}  // namespace moesim
