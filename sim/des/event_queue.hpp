// SPDX-License-Identifier: Apache-2.0
// The pending events of a simulation, by time, phase and order of insertion.
#pragma once

#include <cstdint>
#include <optional>
#include <queue>
#include <vector>

#include "sim/core/sim_time.hpp"

namespace moesim {

/// Why one event fires before another at the same instant.
enum class Phase : std::uint8_t {
  kFinish,  ///< something ended: its successors must see it before anything new is decided
  kStart,   ///< something begins: all of an instant's starts share one network solve
};

/// An event is a payload that fires at a time; what it means is the caller's.
struct Event {
  SimTime time;
  Phase phase = Phase::kFinish;
  std::uint64_t sequence = 0;  ///< order of insertion
  std::int32_t payload = 0;
};

/// Min-queue by (time, phase, sequence): a total order, so that equal times fire the same way
/// everywhere. Checked by: event_queue_test.
class EventQueue {
 public:
  /// Throws std::logic_error when `time` is before the last popped event.
  void push(SimTime time, Phase phase, std::int32_t payload);
  [[nodiscard]] bool empty() const { return heap_.empty(); }
  /// Time of the next event, never() when there is none.
  [[nodiscard]] SimTime next_time() const;
  /// Removes and returns the next event. The queue must not be empty.
  Event pop();
  [[nodiscard]] SimTime now() const { return now_; }

 private:
  struct Later {
    bool operator()(const Event& a, const Event& b) const;
  };
  std::priority_queue<Event, std::vector<Event>, Later> heap_;
  SimTime now_;
  std::uint64_t next_sequence_ = 0;
};

}  // namespace moesim
