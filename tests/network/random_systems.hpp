// SPDX-License-Identifier: Apache-2.0
// Random small networks with random flows for property tests. Times come out near one second, so
// that the picosecond clock rounds at about 1e-12 of them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "sim/core/rng.hpp"
#include "sim/network/network.hpp"

namespace moesim::testing {

struct RandomFlow {
  BatchFlow batch;
  BytesPerSecond rate_cap{std::numeric_limits<double>::infinity()};
};

struct RandomSystem {
  std::vector<BytesPerSecond> capacity;
  std::vector<RandomFlow> flows;

  [[nodiscard]] std::vector<BatchFlow> batch() const {
    std::vector<BatchFlow> all;
    for (const RandomFlow& flow : flows) {
      all.push_back(flow.batch);
    }
    return all;
  }
};

struct RandomSpec {
  std::uint64_t max_links = 8;
  std::uint64_t max_flows = 14;
  bool staggered = true;
  bool capped = true;
  bool latencies = true;
};

inline std::vector<LinkId> random_path(RngStream& rng, std::size_t num_links) {
  std::vector<LinkId> links;
  for (std::size_t l = 0; l < num_links; ++l) {
    links.push_back(id_at<LinkId>(l));
  }
  shuffle(std::span(links), rng);
  links.resize(1 + rng.below(std::min<std::size_t>(num_links, 4)));
  return links;
}

/// A few capacities, sizes and starts, so that ties are frequent, and some odd ones.
inline RandomFlow random_flow(RngStream& rng, std::size_t num_links, const RandomSpec& spec) {
  RandomFlow flow;
  flow.batch.links = random_path(rng, num_links);
  flow.batch.bytes = bytes(1e8 * (rng.below(2) == 0 ? static_cast<double>(1 + rng.below(4))
                                                    : 1e-3 + 5 * rng.uniform01()));
  if (spec.latencies) {
    flow.batch.latency = microseconds(static_cast<double>(rng.below(3)) * 1000);
  }
  if (spec.staggered) {
    flow.batch.start = ticks(seconds(0.05 * static_cast<double>(rng.below(4))));
  }
  if (spec.capped && rng.below(3) == 0) {
    flow.rate_cap = {1e8 * static_cast<double>(1 + rng.below(5))};
  }
  return flow;
}

inline RandomSystem random_system(std::uint64_t seed, const RandomSpec& spec = {}) {
  RngStream rng(seed, "random network");
  RandomSystem system;
  const std::size_t num_links = 1 + rng.below(spec.max_links);
  for (std::size_t l = 0; l < num_links; ++l) {
    system.capacity.push_back({rng.below(3) == 0 ? 1e9 * (0.1 + rng.uniform01())
                                                 : 5e8 * static_cast<double>(1 + rng.below(3))});
  }
  const std::size_t num_flows = 1 + rng.below(spec.max_flows);
  for (std::size_t f = 0; f < num_flows; ++f) {
    if (f > 0 && rng.below(4) == 0) {  // flows alike share a class
      RandomFlow twin = random_flow(rng, num_links, spec);
      twin.batch.links = system.flows[rng.below(f)].batch.links;
      system.flows.push_back(twin);
    } else {
      system.flows.push_back(random_flow(rng, num_links, spec));
    }
  }
  return system;
}

/// run_batch with rate caps.
inline std::vector<SimTime> run_capped(Network& network, std::span<const RandomFlow> flows) {
  std::vector<std::size_t> order;
  for (std::size_t f = 0; f < flows.size(); ++f) {
    order.push_back(f);
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return flows[a].batch.start < flows[b].batch.start;
  });
  std::vector<SimTime> finish(flows.size());
  std::size_t started = 0;
  for (std::size_t done = 0; done < flows.size();) {
    for (; started < flows.size() && flows[order[started]].batch.start == network.now();
         ++started) {
      const RandomFlow& flow = flows[order[started]];
      network.start({.links = flow.batch.links,
                     .bytes = flow.batch.bytes,
                     .latency = flow.batch.latency,
                     .rate_cap = flow.rate_cap});
    }
    const SimTime limit =
        started < flows.size() ? flows[order[started]].batch.start : SimTime::never();
    for (const FlowId id : network.advance(limit)) {
      finish[order[id.index()]] = network.now();
      ++done;
    }
  }
  return finish;
}

}  // namespace moesim::testing
