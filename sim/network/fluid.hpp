// SPDX-License-Identifier: Apache-2.0
// The fluid engine: exact, event-driven max-min fair sharing of live flows.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/network/flow_classes.hpp"
#include "sim/network/max_min.hpp"
#include "sim/network/sharing.hpp"
#include "sim/network/tick_heap.hpp"

namespace moesim {

/// Between two changes of the set of live flows every flow has its max-min fair rate
/// (max_min_rates); a flow drains after the ticks in which the integral of its rate reaches its
/// bytes, to the nearest picosecond.
///
/// A change re-solves only what it can reach. Take the classes that started or drained at an
/// instant, and the smallest rate r that any of them had before (drained) or must at least get
/// after (started: its cap, or the smallest capacity / flows among its links). Progressive filling
/// below r is the same before and after, so slower classes keep their rates; of the faster ones,
/// those not connected to the change through links shared by faster classes keep theirs too.
///
/// Source: max-min fairness as in max_min.hpp; the locality argument is worked out in
/// docs/network.md, "What a change can reach".
/// Valid for: any paths, caps and start times. Rates change at once when the set of flows changes.
/// Cost: per instant O(hops of the classes reached * log); memory about 200 B per flow.
/// Checked by: fluid_test (worked), fluid_oracle_test, network_property_test (INV-2 to INV-8),
/// simgrid_oracle_test.
class FluidSharing final : public Sharing {
 public:
  explicit FluidSharing(std::span<const BytesPerSecond> capacity);

  void start(FlowId id, const Flow& flow) override;
  std::span<const FlowId> advance(SimTime limit) override;
  [[nodiscard]] SimTime now() const override { return now_; }

 private:
  /// A class whose flows changed at this instant; rates below `floor` cannot change with it.
  struct Change {
    double floor = 0.0;
    std::int32_t flow_class = 0;
    bool started = false;
    auto operator<=>(const Change&) const = default;
  };
  struct LinkMark {
    std::uint64_t seen = 0;  ///< instant at which it was reached
    std::int32_t local = 0;  ///< its index in system_
  };
  struct ClassMark {
    std::uint64_t seen = 0;     ///< instant at which it was reached
    std::uint64_t changed = 0;  ///< instant of its last change
  };

  void note_change(const Change& change);
  void solve_changes();
  [[nodiscard]] double least_rate(std::int32_t c);
  void reach(const Change& change);
  void reach_class(std::int32_t c);
  void reach_links_of(std::int32_t c);
  void cross_link(std::size_t i, double floor);
  void build_system();
  void apply_rates(std::span<const double> rates);
  void drain_at(SimTime tick);

  std::vector<double> capacity_;
  FlowClasses classes_;
  TickHeap next_drain_;  ///< by class
  SimTime now_;
  std::vector<FlowId> drained_;

  std::uint64_t instant_ = 1;  ///< counts solves
  std::vector<Change> changes_;
  std::vector<ClassMark> class_marks_;
  std::vector<LinkMark> link_marks_;
  std::vector<std::int32_t> reached_classes_;
  std::vector<LinkId> reached_links_;
  MaxMinSystem system_;
  MaxMinSolver solver_;
};

}  // namespace moesim
