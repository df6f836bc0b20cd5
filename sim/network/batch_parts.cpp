// SPDX-License-Identifier: Apache-2.0
#include "sim/network/batch_parts.hpp"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <numeric>

#include "sim/core/check.hpp"
#include "sim/network/wide_links.hpp"

namespace moesim {
namespace {

constexpr std::size_t kFlowsPerReport = 4096;

/// Disjoint sets of links with path halving.
class LinkSets {
 public:
  explicit LinkSets(std::size_t num_links) : parent_(num_links) {
    std::iota(parent_.begin(), parent_.end(), std::size_t{0});
  }
  std::size_t find(std::size_t link) {
    while (parent_[link] != link) {
      parent_[link] = parent_[parent_[link]];
      link = parent_[link];
    }
    return link;
  }
  void join(std::size_t a, std::size_t b) { parent_[find(a)] = find(b); }

 private:
  std::vector<std::size_t> parent_;
};

}  // namespace

PartedBatch::PartedBatch(const NetworkSettings& settings,
                         std::span<const BytesPerSecond> capacity,
                         std::span<const BatchFlow> flows)
    : capacity_(capacity), flows_(flows), inner_link_(capacity.size(), -1) {
  split(settings.engine);
  for (Part& part : parts_) {
    part.network = make_network(settings, part.capacity);
    start_due(part);
  }
}

/// Parts in order of their first flow, links of a part in order of first use.
void PartedBatch::split(NetworkEngine engine) {
  LinkSets sets(capacity_.size());
  for (const BatchFlow& flow : flows_) {
    MOESIM_CHECK(!flow.links.empty(), "a flow crosses no link");
    for (const LinkId link : flow.links) {
      MOESIM_CHECK(link.value >= 0 && link.index() < capacity_.size(), "no such link");
      sets.join(link.index(), flow.links.front().index());
    }
  }
  const std::vector<bool> never_binds = engine == NetworkEngine::kFluid
                                            ? links_that_never_bind(capacity_, flows_)
                                            : std::vector<bool>(capacity_.size(), false);
  std::vector<std::int32_t> part_of_set(capacity_.size(), -1);
  for (std::size_t f = 0; f < flows_.size(); ++f) {
    std::int32_t& id = part_of_set[sets.find(flows_[f].links.front().index())];
    if (id < 0) {
      id = static_cast<std::int32_t>(parts_.size());
      parts_.emplace_back();
    }
    Part& part = parts_[static_cast<std::size_t>(id)];
    part.flows.push_back(static_cast<std::uint32_t>(f));
    for (const LinkId link : flows_[f].links) {
      if (inner_link_[link.index()] < 0 && !never_binds[link.index()]) {
        inner_link_[link.index()] = static_cast<std::int32_t>(part.capacity.size());
        part.capacity.push_back(capacity_[link.index()]);
      }
    }
  }
  for (Part& part : parts_) {
    std::stable_sort(part.flows.begin(), part.flows.end(), [&](std::uint32_t a, std::uint32_t b) {
      return flows_[a].start < flows_[b].start;
    });
  }
}

/// Starts the flows whose time has come.
void PartedBatch::start_due(Part& part) const {
  std::vector<LinkId> path;
  while (part.num_started < part.flows.size()) {
    const BatchFlow& flow = flows_[part.flows[part.num_started]];
    MOESIM_CHECK(flow.start >= part.network->now(), "a flow starts before time 0");
    if (flow.start > part.network->now()) {
      return;
    }
    path.clear();
    for (const LinkId link : flow.links) {
      if (inner_link_[link.index()] >= 0) {
        path.push_back({inner_link_[link.index()]});
      }
    }
    part.network->start({.links = path, .bytes = flow.bytes, .latency = flow.latency});
    ++part.num_started;
  }
}

void PartedBatch::report(std::size_t finished, const BatchControl& control) {
  if (control.on_progress) {
    const std::scoped_lock lock(progress_);
    num_finished_ += static_cast<std::int64_t>(finished);
    control.on_progress(num_finished_);
  }
}

void PartedBatch::run_part(Part& part, BatchResult& result, const BatchControl& control) {
  Network& network = *part.network;
  std::size_t num_finished = 0;
  std::size_t num_reported = 0;
  while (num_finished < part.flows.size()) {
    if (control.cancelled != nullptr && control.cancelled->load(std::memory_order_relaxed)) {
      return;
    }
    start_due(part);
    const SimTime limit = part.num_started < part.flows.size()
                              ? flows_[part.flows[part.num_started]].start
                              : SimTime::never();
    for (const FlowId id : network.advance(limit)) {
      result.finish[part.flows[id.index()]] = network.now();
      ++num_finished;
    }
    if (num_finished - num_reported >= kFlowsPerReport) {
      report(num_finished - num_reported, control);
      num_reported = num_finished;
    }
  }
  report(num_finished - num_reported, control);
}

BatchResult PartedBatch::run(const BatchControl& control) {
  BatchResult result;
  result.finish.resize(flows_.size());
  tbb::parallel_for(
      std::size_t{0}, parts_.size(), [&](std::size_t p) { run_part(parts_[p], result, control); });
  for (const Part& part : parts_) {
    result.events += part.network->events();
  }
  return result;
}

}  // namespace moesim
