// SPDX-License-Identifier: Apache-2.0
#include "sim/network/latency_network.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "sim/core/check.hpp"

namespace moesim {

const FlowProgress* flow_progress(const Network& network) {
  return dynamic_cast<const FlowProgress*>(&network);
}

LatencyNetwork::LatencyNetwork(std::unique_ptr<Sharing> sharing,
                               std::span<const BytesPerSecond> capacity)
    : sharing_(std::move(sharing)), capacity_(capacity.begin(), capacity.end()) {}

void LatencyNetwork::check(const Flow& flow) const {
  MOESIM_CHECK(!flow.links.empty(), "a flow crosses no link");
  MOESIM_CHECK(std::isfinite(flow.bytes.value) && flow.bytes.value > 0.0,
               fmt::format("a flow of {} bytes", flow.bytes.value));
  MOESIM_CHECK(flow.rate_cap.value > 0.0,
               fmt::format("a flow with a rate cap of {} bytes/s", flow.rate_cap.value));
  MOESIM_CHECK(std::isfinite(flow.latency.value) && flow.latency.value >= 0.0,
               fmt::format("a flow with a latency of {} s", flow.latency.value));
  for (std::size_t i = 0; i < flow.links.size(); ++i) {
    const LinkId link = flow.links[i];
    MOESIM_CHECK(link.value >= 0 && link.index() < capacity_.size(),
                 fmt::format("a flow crosses link {} of {}", link.value, capacity_.size()));
    const double capacity = capacity_[link.index()].value;
    MOESIM_CHECK(std::isfinite(capacity) && capacity > 0.0,
                 fmt::format("a flow crosses link {} of {} bytes/s", link.value, capacity));
    const auto earlier = flow.links.first(i);
    MOESIM_CHECK(std::find(earlier.begin(), earlier.end(), link) == earlier.end(),
                 fmt::format("a flow crosses link {} twice", link.value));
  }
}

FlowId LatencyNetwork::start(const Flow& flow) {
  check(flow);
  const auto id = id_at<FlowId>(latency_of_.size());
  latency_of_.push_back(place_of(flow.latency));
  sharing_->start(id, flow);
  return id;
}

/// Paths have few latencies, in runs: the latest few are searched.
std::uint32_t LatencyNetwork::place_of(Seconds latency) {
  constexpr std::size_t kSearched = 8;
  const std::size_t end = latencies_.size();
  for (std::size_t i = end; i > 0 && i + kSearched > end; --i) {
    if (latencies_[i - 1] == latency) {
      return static_cast<std::uint32_t>(i - 1);
    }
  }
  latencies_.push_back(latency);
  return static_cast<std::uint32_t>(end);
}

SimTime LatencyNetwork::next_arrival() const {
  return arrivals_.empty() ? SimTime::never() : arrivals_.top().time;
}

std::span<const FlowId> LatencyNetwork::advance(SimTime limit) {
  MOESIM_CHECK(limit >= now_, "the clock would fall");
  completed_.clear();
  while (completed_.empty()) {
    const auto drained = sharing_->advance(std::min(limit, next_arrival()));
    now_ = sharing_->now();
    events_ += drained.empty() ? 0 : 1;
    while (next_arrival() == now_) {
      completed_.push_back(arrivals_.top().flow);
      arrivals_.pop();
    }
    const auto waited = static_cast<std::ptrdiff_t>(completed_.size());
    for (const FlowId flow : drained) {
      const SimTime arrival = after(now_, latencies_[latency_of_[flow.index()]]);
      if (arrival == now_) {
        completed_.push_back(flow);
      } else {
        arrivals_.push({.time = arrival, .flow = flow});
      }
    }
    std::inplace_merge(completed_.begin(), completed_.begin() + waited, completed_.end());
    if (drained.empty()) {
      break;
    }
  }
  return completed_;
}

}  // namespace moesim
