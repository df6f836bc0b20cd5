// SPDX-License-Identifier: Apache-2.0
// A step as tasks with dependencies, and its execution over a network. A task is a delay (compute,
// launch, a join of length zero) or a flow.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "sim/core/ids.hpp"
#include "sim/core/sim_time.hpp"
#include "sim/core/units.hpp"
#include "sim/network/network.hpp"

namespace moesim {

/// What a task stands for; the key of attribution.
enum class TaskKind : std::uint8_t {
  kGate,
  kLaunch,        ///< start of a communication kernel
  kIssue,         ///< the sender puts its messages out one after the other
  kPipelineFill,  ///< until the first chunk is at a relay, or the last one past it
  kDispatchFlow,
  kDispatchDone,  ///< join, no time
  kExperts,
  kCombineFlow,
  kCombineDone,  ///< join, no time
  kReduce,       ///< weighted sum of the returned rows
  kBackground,   ///< a flow of no layer: nothing waits for it
  kAttention,    ///< this and the following in whole steps only
  kDense,
  kHead,
  kPipeline,  ///< of a training pipeline: passes and the rows between stages
};

struct TaskLabel {
  TaskKind kind = TaskKind::kGate;
  bool combine = false;          ///< of the combine phase (kLaunch, kIssue, kPipelineFill)
  bool tensor_parallel = false;  ///< of an exchange inside a TP group
  std::int32_t layer = 0;
  std::int32_t rank = 0;  ///< whose task it is; a flow's source
};

struct Task {
  TaskLabel label;
  SimTime duration;             ///< delays
  std::int32_t flow_path = -1;  ///< flows: index into TaskGraph::paths, -1: a delay
  Bytes bytes;                  ///< flows
  double beside = 1;  ///< delays: pace while a kernel of `kernels` runs on its rank, (0, 1]
};

/// A communication kernel on a rank, from the start of one task to the end of another.
struct KernelSpan {
  TaskId from;
  TaskId until;
  std::int32_t rank = 0;
};

/// One path that flows of the graph use.
struct FlowPath {
  std::vector<LinkId> links;
  Seconds latency;
};

struct TaskGraph {
  std::vector<Task> tasks;
  std::vector<FlowPath> paths;
  std::vector<std::pair<TaskId, TaskId>> edges;  ///< (before, after)
  std::vector<KernelSpan> kernels;               ///< at most one that starts or ends with a task

  TaskId add_delay(TaskLabel label, SimTime duration);
  TaskId add_flow(TaskLabel label, std::int32_t path, Bytes bytes);
  void add_edge(TaskId before, TaskId after) { edges.emplace_back(before, after); }
};

/// When each task ran. A task starts when the last of its predecessors ends.
struct TaskTimes {
  std::vector<SimTime> start;
  std::vector<SimTime> end;
  std::vector<std::optional<TaskId>> bound_by;  ///< that last predecessor; none for a first task
};

/// Runs the graph from time 0 to the end on a fresh network; the only driver of clock and network.
/// A delay of length d with pace b that shares its rank with kernels for a time k of its own takes
/// d + k (1 - b): it proceeds at pace b beside them and at 1 without (to a tick at each change).
/// Throws std::logic_error if the graph has a cycle.
[[nodiscard]] TaskTimes execute(const TaskGraph& graph, Network& network);

}  // namespace moesim
