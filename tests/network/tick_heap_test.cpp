// SPDX-License-Identifier: Apache-2.0
#include "sim/network/tick_heap.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "sim/core/rng.hpp"

namespace moesim {
namespace {

/// Sets, changes or removes a random key in both.
void change(RngStream& rng, TickHeap& heap, std::map<std::int32_t, SimTime>& model) {
  const auto key = static_cast<std::int32_t>(rng.below(40));
  if (rng.below(4) == 0) {
    heap.set(key, SimTime::never());
    model.erase(key);
    return;
  }
  const SimTime tick{static_cast<std::int64_t>(rng.below(30))};
  heap.set(key, tick);
  model[key] = tick;
}

// Against a map, over random sets, changes and removals.
TEST(TickHeap, AlwaysKnowsTheFirstTickAndKey) {
  RngStream rng(1, "tick heap");
  TickHeap heap;
  std::map<std::int32_t, SimTime> model;
  for (int step = 0; step < 20000; ++step) {
    change(rng, heap, model);
    std::pair<SimTime, std::int32_t> first{SimTime::never(), 0};
    for (const auto& [key, tick] : model) {
      first = std::min(first, std::pair<SimTime, std::int32_t>{tick, key});
    }
    ASSERT_EQ(heap.empty(), model.empty());
    ASSERT_EQ(heap.next_tick(), first.first);
    ASSERT_TRUE(heap.empty() || heap.next_key() == first.second);
  }
}

}  // namespace
}  // namespace moesim
