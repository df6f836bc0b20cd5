// SPDX-License-Identifier: Apache-2.0
// Delays that slow down while a communication kernel runs on their rank; used by execute() only.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/des/event_queue.hpp"
#include "sim/step/task_graph.hpp"

namespace moesim {

/// Knows which kernels run and when each running delay ends as things stand. An end that moved
/// leaves its old event in the queue; is_end() tells it from the true one.
class Paces {
 public:
  explicit Paces(const TaskGraph& graph);

  /// `task` starts: so does the kernel that starts with it.
  void open(TaskId task, SimTime now, EventQueue& queue);
  /// `task` has ended: so has the kernel that ends with it.
  void close(TaskId task, SimTime now, EventQueue& queue);
  /// A delay begins; its end is put into the queue.
  void begin(TaskId task, SimTime now, EventQueue& queue);
  /// Whether the event at `now` is the end of the delay; true once.
  [[nodiscard]] bool is_end(TaskId task, SimTime now);

 private:
  struct Running {
    TaskId task;
    SimTime since;  ///< of `remaining`
    SimTime remaining;
    SimTime end;
  };
  struct Rank {
    int kernels = 0;
    std::vector<Running> running;  ///< delays that slow down
  };
  void change(Rank& rank, int kernels, SimTime now, EventQueue& queue);
  [[nodiscard]] SimTime length(const Running& running, bool beside) const;

  const TaskGraph& graph_;
  std::vector<std::int32_t> opens_;   ///< by task, the rank whose kernel it starts; -1
  std::vector<std::int32_t> closes_;  ///< by task, the rank whose kernel it ends; -1
  std::vector<Rank> ranks_;
};

}  // namespace moesim
