// SPDX-License-Identifier: Apache-2.0
// A Network over any Sharing: checks flows, and pays each flow's latency after it has drained.
#pragma once

#include <cstdint>
#include <memory>
#include <queue>
#include <vector>

#include "sim/network/flow_progress.hpp"
#include "sim/network/sharing.hpp"

namespace moesim {

/// completion = drain + latency. The share is freed at the drain.
///
/// Source: cut-through forwarding: the last byte leaves at the drain and arrives one path latency
/// later.
/// Valid for: paths whose latency does not depend on load; no queues.
/// Checked by: fluid_test (latency), network_property_test, simgrid_oracle_test.
class LatencyNetwork final : public Network, public FlowProgress {
 public:
  LatencyNetwork(std::unique_ptr<Sharing> sharing, std::span<const BytesPerSecond> capacity);

  FlowId start(const Flow& flow) override;
  std::span<const FlowId> advance(SimTime limit) override;
  [[nodiscard]] SimTime now() const override { return now_; }
  [[nodiscard]] std::int64_t events() const override { return events_; }
  [[nodiscard]] bool remaining(std::span<double> left) const override {
    return sharing_->remaining(left);
  }

 private:
  struct Arrival {
    SimTime time;
    FlowId flow;
    auto operator<=>(const Arrival&) const = default;
  };

  void check(const Flow& flow) const;
  [[nodiscard]] std::uint32_t place_of(Seconds latency);
  [[nodiscard]] SimTime next_arrival() const;

  std::unique_ptr<Sharing> sharing_;
  std::vector<BytesPerSecond> capacity_;
  std::vector<Seconds> latencies_;         ///< those in use; an older one may come again
  std::vector<std::uint32_t> latency_of_;  ///< by flow: place among them
  std::priority_queue<Arrival, std::vector<Arrival>, std::greater<>> arrivals_;
  std::vector<FlowId> completed_;
  SimTime now_;
  std::int64_t events_ = 0;
};

}  // namespace moesim
