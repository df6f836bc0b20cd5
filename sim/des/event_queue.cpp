// SPDX-License-Identifier: Apache-2.0
#include "sim/des/event_queue.hpp"

#include <tuple>

#include "sim/core/check.hpp"

namespace moesim {

bool EventQueue::Later::operator()(const Event& a, const Event& b) const {
  return std::tuple(a.time, a.phase, a.sequence) > std::tuple(b.time, b.phase, b.sequence);
}

void EventQueue::push(SimTime time, Phase phase, std::int32_t payload) {
  MOESIM_CHECK(time >= now_, "an event in the past");
  heap_.push({time, phase, next_sequence_++, payload});
}

SimTime EventQueue::next_time() const {
  return heap_.empty() ? SimTime::never() : heap_.top().time;
}

Event EventQueue::pop() {
  MOESIM_CHECK(!heap_.empty(), "pop from an empty event queue");
  const Event event = heap_.top();
  heap_.pop();
  now_ = event.time;
  return event;
}

}  // namespace moesim
