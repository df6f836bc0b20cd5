// SPDX-License-Identifier: Apache-2.0
#include "sim/step/phase_load.hpp"

#include <algorithm>
#include <span>

namespace moesim {
namespace {

/// Adds one flow to the loads, and what it must take alone to the bound.
void add_flow(PhaseLoad& load,
              const FlowPath& path,
              std::int64_t flow_bytes,
              const std::vector<BytesPerSecond>& capacity) {
  double slowest = capacity[path.links.front().index()].value;
  for (const LinkId link : path.links) {
    load.link_bytes[link.index()] += flow_bytes;
    slowest = std::min(slowest, capacity[link.index()].value);
  }
  const Seconds alone =
      bytes(static_cast<double>(flow_bytes)) / BytesPerSecond{slowest} + path.latency;
  load.bound = std::max(load.bound, alone);
}

/// Adds the transfers of a plan to the loads of links, and what each must take alone to the bound.
void add_plan(PhaseLoad& load,
              const CommPlan& plan,
              PathTable& paths,
              const std::vector<BytesPerSecond>& capacity) {
  for (const Transfer& t : plan.transfers) {
    const std::span<const PathPart> parts = paths.find(t.source, t.destination);
    for_split(t.bytes, parts, [&](std::int32_t path, std::int64_t part) {
      add_flow(load, paths.paths()[static_cast<std::size_t>(path)], part, capacity);
    });
  }
}

}  // namespace

PhaseLoad phase_load(const CommPlan& plan,
                     const CommPlan* before,
                     PathTable& paths,
                     const std::vector<BytesPerSecond>& capacity) {
  PhaseLoad load;
  load.link_bytes.resize(capacity.size());
  load.link_seconds.resize(capacity.size());
  add_plan(load, plan, paths, capacity);
  if (before != nullptr) {
    add_plan(load, *before, paths, capacity);
  }
  for (std::size_t i = 0; i < capacity.size(); ++i) {
    if (load.link_bytes[i] > 0) {
      const Seconds busy = bytes(static_cast<double>(load.link_bytes[i])) / capacity[i];
      load.link_seconds[i] = busy.value;
      load.bound = std::max(load.bound, busy);
    }
  }
  return load;
}

}  // namespace moesim
