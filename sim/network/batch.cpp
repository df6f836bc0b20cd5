// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <numeric>

#include "sim/core/check.hpp"
#include "sim/network/network.hpp"

namespace moesim {
namespace {

/// Positions of the flows by (start, position).
std::vector<std::size_t> starting_order(std::span<const BatchFlow> flows) {
  std::vector<std::size_t> order(flows.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return flows[a].start < flows[b].start;
  });
  return order;
}

}  // namespace

BatchResult run_batch(Network& network, std::span<const BatchFlow> flows) {
  const std::vector<std::size_t> order = starting_order(flows);
  MOESIM_CHECK(flows.empty() || flows[order.front()].start >= network.now(),
               "a flow starts before the network's clock");
  BatchResult result;
  result.finish.resize(flows.size());
  const std::int64_t events_before = network.events();
  std::size_t num_started = 0;
  std::size_t num_finished = 0;
  while (num_finished < flows.size()) {
    while (num_started < flows.size() && flows[order[num_started]].start == network.now()) {
      const BatchFlow& flow = flows[order[num_started]];
      const FlowId id =
          network.start({.links = flow.links, .bytes = flow.bytes, .latency = flow.latency});
      MOESIM_CHECK(id.index() == num_started, "the network is not fresh");
      ++num_started;
    }
    const SimTime limit =
        num_started < flows.size() ? flows[order[num_started]].start : SimTime::never();
    for (const FlowId id : network.advance(limit)) {
      result.finish[order[id.index()]] = network.now();
      ++num_finished;
    }
  }
  result.events = network.events() - events_before;
  return result;
}

}  // namespace moesim
