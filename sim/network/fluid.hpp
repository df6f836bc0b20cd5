// SPDX-License-Identifier: Apache-2.0
// The fluid engine: event-driven max-min fair sharing of live flows.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/network/fair_share.hpp"
#include "sim/network/sharing.hpp"

namespace moesim {

/// Between two changes of the set of live flows every flow has its max-min fair rate; a flow drains
/// after the ticks in which the integral of its rate reaches its bytes, to the nearest picosecond.
///
/// With a window > 0, drained flows hold their shares until `window` after the first drain since
/// the last solve: one solve for all of them. Each drain is still told at its own tick. Shares are
/// freed late by at most the window, never early; flows that start are served at once.
///
/// Source: docs/network.md, "Equations" and "Tolerance".
/// Valid for: any paths, caps and start times. Rates change at once when the set of flows changes.
/// Cost: that of FairShare, and a scan of the links in use an event.
/// Checked by: fluid_test (worked), network_property_test (INV-2 to INV-8), simgrid_oracle_test,
/// tolerance_test.
class FluidSharing final : public Sharing {
 public:
  explicit FluidSharing(std::span<const BytesPerSecond> capacity, SimTime window = {})
      : share_(capacity), window_(window) {}

  void start(FlowId id, const Flow& flow) override { share_.start(id, flow); }
  std::span<const FlowId> advance(SimTime limit) override;
  [[nodiscard]] SimTime now() const override { return now_; }
  [[nodiscard]] bool remaining(std::span<double> left) const override {
    share_.remaining(left);
    return true;
  }
  [[nodiscard]] const FairShare& share() const { return share_; }

 private:
  void move_to(SimTime now);
  [[nodiscard]] SimTime next_drain() const;

  FairShare share_;
  SimTime window_;
  SimTime solve_at_ = SimTime::never();  ///< when drained flows must give up their shares
  SimTime now_;
  std::vector<FlowId> drained_;
  std::vector<std::uint64_t> id_bits_;
};

}  // namespace moesim
