// SPDX-License-Identifier: Apache-2.0
// The next tick of each of a set of dense keys, where every tick may change at any time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "sim/core/sim_time.hpp"

namespace moesim {

/// Min-heap of keys by (tick, key) that knows where each key is, so that a change costs O(log n).
/// A heap of fours: half as deep as one of twos, and the four children share a cache line.
class TickHeap {
 public:
  /// Sets the tick of `key`, adding it if absent. never() removes it.
  void set(std::int32_t key, SimTime tick);
  [[nodiscard]] bool empty() const { return entries_.empty(); }
  /// never() when empty.
  [[nodiscard]] SimTime next_tick() const;
  /// The key with the first tick. The heap must not be empty.
  [[nodiscard]] std::int32_t next_key() const { return entries_.front().key; }

 private:
  static constexpr std::size_t kArity = 4;

  struct Entry {
    SimTime tick;
    std::int32_t key = 0;
    auto operator<=>(const Entry&) const = default;
  };

  void remove(std::int32_t key);
  void sift_up(std::size_t i, Entry entry);
  void sift_down(std::size_t i, Entry entry);
  void place(std::size_t i, Entry entry);

  std::vector<Entry> entries_;
  std::vector<std::int32_t> position_;  ///< by key, -1 when absent
};

}  // namespace moesim
