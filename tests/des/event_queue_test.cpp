// SPDX-License-Identifier: Apache-2.0
#include "sim/des/event_queue.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <stdexcept>
#include <tuple>
#include <vector>

namespace moesim {
namespace {

TEST(EventQueue, FinishesFireBeforeStartsAndEqualsInOrderOfInsertion) {
  EventQueue queue;
  queue.push({5}, Phase::kStart, 0);
  queue.push({5}, Phase::kFinish, 1);
  queue.push({5}, Phase::kFinish, 2);
  queue.push({4}, Phase::kStart, 3);
  std::vector<int> fired;
  while (!queue.empty()) {
    fired.push_back(queue.pop().payload);
  }
  EXPECT_EQ(fired, (std::vector<int>{3, 1, 2, 0}));
  EXPECT_EQ(queue.next_time(), SimTime::never());
}

TEST(EventQueue, ThePastAndAnEmptyQueueAreRefused) {
  EventQueue queue;
  EXPECT_THROW(queue.pop(), std::logic_error);
  queue.push({7}, Phase::kStart, 0);
  queue.pop();
  EXPECT_EQ(queue.now(), SimTime{7});
  EXPECT_THROW(queue.push({6}, Phase::kStart, 0), std::logic_error);
}

// INV-8: the clock never falls, also when events push more events.
RC_GTEST_PROP(EventQueue, TheClockNeverFalls, (const std::vector<unsigned char>& delays)) {
  EventQueue queue;
  queue.push({0}, Phase::kStart, 0);
  auto last = std::tuple(SimTime{-1}, Phase::kFinish, std::uint64_t{0});
  for (std::size_t next = 0; !queue.empty();) {
    const Event event = queue.pop();
    RC_ASSERT(SimTime{event.time} >= std::get<0>(last));
    RC_ASSERT(event.time == queue.now());
    last = std::tuple(event.time, event.phase, event.sequence);
    for (int child = 0; child < 2 && next < delays.size(); ++child, ++next) {
      queue.push(event.time + SimTime{delays[next] / 8}, Phase(delays[next] % 2), 0);
    }
  }
}

}  // namespace
}  // namespace moesim
