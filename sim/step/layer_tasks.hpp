// SPDX-License-Identifier: Apache-2.0
// One MoE layer as tasks: gate -> dispatch -> experts -> combine per rank, without a global
// barrier.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sim/step/phase_tasks.hpp"

namespace moesim {

/// Compute times of one layer, by rank.
struct LayerCompute {
  std::vector<SimTime> gate;
  std::vector<SimTime> experts;  ///< routed and shared experts
  std::vector<SimTime> reduce;
  std::vector<SimTime> shared = {};  ///< of `experts`, the shared ones
  std::vector<SimTime> order = {};   ///< of `gate`, with expert_return: rows in order of dispatch
  std::vector<SimTime> moves = {};  ///< of `experts`, with expert_return: rows brought and returned
};

/// Rail-aligned for nccl with pxn, else `policy`.
[[nodiscard]] PathPolicy path_policy_of(const DispatchSpec& dispatch, PathPolicy policy);

/// Everything the tasks of one layer are made of.
struct LayerWork {
  std::int32_t layer = 0;
  LayerTraffic traffic;
  LayerCompute compute;
  std::vector<std::int64_t> tokens = {};  ///< that each rank brings; by prepare_counted
};

/// Where the tasks of a layer begin and end, by rank.
struct LayerTasks {
  std::vector<TaskId> gate;
  std::vector<TaskId> dispatch_start;
  std::vector<TaskId> dispatch_done;
  std::vector<TaskId> experts;
  std::vector<TaskId> combine_start;
  std::vector<TaskId> combine_done;
  std::vector<TaskId> done;  ///< the reduce task
};

/// Appends the tasks of one layer. Rank r's gate waits for previous->done[r] alone.
///
/// Dispatch and combine of rank r end when every flow into r has arrived and, except for
/// low_latency (one-sided RDMA writes), when every flow out of r has left, since the kernel that
/// moves them holds the stream; phase_rules.hpp has what each dispatcher adds. A stage-1 flow of
/// relay g needs the relay's own kernel to run and
///   pipelined: every stage-0 flow of its group to have started, one first chunk earlier (fill);
///     its destination also waits for the last stage-0 byte plus one chunk's forwarding (drain);
///     a chunk takes path latency + chunk bytes / slowest link of the path,
///   store_and_forward: every stage-0 flow of its group to have ended.
/// The messages of a rank leave one after the other, and its multiprocessors copy what it sends:
/// its kernel lasts at least
///   max(messages * message_gap, bytes sent / copy rate).
/// A transfer puts bytes + messages * message_overhead on its links, so the efficiency of a link is
/// m / (m + message_overhead) at message size m. A notify round is a kernel of its own between gate
/// and dispatch, in which messages cost their bytes and latency; dispatch_start is then its start.
/// Source: DeepEP normal and low-latency kernels (deepseek-ai/DeepEP), csrc/kernels.
/// Valid for: kernels that keep the stream until done. Left out: the host that reads the counts.
/// Checked by: layer_tasks_test, dispatcher_tasks_test.
LayerTasks append_layer(TaskGraph& graph,
                        const LayerWork& work,
                        const CommunicationModel& model,
                        PathTable& paths,
                        const LayerTasks* previous);

/// The dispatch of append_layer alone, its notify round before it.
/// @param ready per rank, the task after which it begins
[[nodiscard]] PhaseTasks append_dispatch(TaskGraph& graph,
                                         const LayerWork& work,
                                         const CommunicationModel& model,
                                         PathTable& paths,
                                         const std::vector<TaskId>& ready);
/// The combine alone.
[[nodiscard]] PhaseTasks append_combine(TaskGraph& graph,
                                        const LayerWork& work,
                                        const CommunicationModel& model,
                                        PathTable& paths,
                                        const std::vector<TaskId>& ready);

/// Appends a flow for every pair of ranks with bytes, ready from the start; returns the first task.
std::size_t append_background(TaskGraph& graph, const TrafficMatrix& bytes, PathTable& paths);
/// Appends the exchange of `plan` alone: after ready[r] and kernel_start rank r's transfers start,
/// and its part ends when all of its own have left and arrived. Nothing else costs time. Checked
/// by: whole_step_test.
[[nodiscard]] PhaseTasks append_plain_exchange(TaskGraph& graph,
                                               const CommPlan& plan,
                                               Seconds kernel_start,
                                               PathTable& paths,
                                               const std::vector<TaskId>& ready);

}  // namespace moesim
