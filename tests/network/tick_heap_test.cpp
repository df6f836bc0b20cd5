// SPDX-License-Identifier: Apache-2.0
#include "sim/network/tick_heap.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>

#include "sim/core/rng.hpp"

namespace moesim {
namespace {

// Against a map, over random sets, changes and removals.
RC_GTEST_PROP(TickHeap, AlwaysKnowsTheFirstTickAndKey, ()) {
  RngStream rng(*rc::gen::arbitrary<std::uint64_t>(), "tick heap");
  TickHeap heap;
  std::map<std::int32_t, SimTime> model;
  for (int step = 0; step < 300; ++step) {
    const auto key = static_cast<std::int32_t>(rng.below(40));
    if (rng.below(4) == 0) {
      heap.set(key, SimTime::never());
      model.erase(key);
    } else {
      const SimTime tick{static_cast<std::int64_t>(rng.below(30))};
      heap.set(key, tick);
      model[key] = tick;
    }
    RC_ASSERT(heap.empty() == model.empty());
    std::pair<SimTime, std::int32_t> first{SimTime::never(), 0};
    for (const auto& [k, tick] : model) {
      first = std::min(first, {tick, k});
    }
    RC_ASSERT(heap.next_tick() == first.first);
    RC_ASSERT(heap.empty() || heap.next_key() == first.second);
  }
}

}  // namespace
}  // namespace moesim
