// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <limits>

#include "sim/core/check.hpp"
#include "sim/network/network.hpp"

namespace moesim {
namespace {

/// What one link must carry: all its bytes, not before its first flow starts, and the last of them
/// has still a latency to go.
struct LinkDemand {
  double bytes = 0.0;
  SimTime first_start = SimTime::never();
  double least_latency = std::numeric_limits<double>::infinity();

  void add(const BatchFlow& flow) {
    bytes += flow.bytes.value;
    first_start = std::min(first_start, flow.start);
    least_latency = std::min(least_latency, flow.latency.value);
  }
};

}  // namespace

Seconds makespan_bound(std::span<const BytesPerSecond> capacity, std::span<const BatchFlow> flows) {
  std::vector<LinkDemand> demand(capacity.size());
  SimTime first_start = SimTime::never();
  for (const BatchFlow& flow : flows) {
    first_start = std::min(first_start, flow.start);
    for (const LinkId link : flow.links) {
      MOESIM_CHECK(link.value >= 0 && link.index() < capacity.size(), "no such link");
      MOESIM_CHECK(capacity[link.index()].value > 0.0, "a flow crosses a link without capacity");
      demand[link.index()].add(flow);
    }
  }
  double bound = 0.0;
  const auto raise = [&](SimTime start, double duration) {
    bound = std::max(bound, (start - first_start).to_seconds().value + duration);
  };
  for (std::size_t l = 0; l < demand.size(); ++l) {
    if (demand[l].bytes > 0.0) {
      raise(demand[l].first_start, demand[l].bytes / capacity[l].value + demand[l].least_latency);
    }
  }
  for (const BatchFlow& flow : flows) {
    double slowest = std::numeric_limits<double>::infinity();
    for (const LinkId link : flow.links) {
      slowest = std::min(slowest, capacity[link.index()].value);
    }
    raise(flow.start, flow.bytes.value / slowest + flow.latency.value);
  }
  return {bound};
}

}  // namespace moesim
