// SPDX-License-Identifier: Apache-2.0
// One communication phase (a dispatch or a combine) as tasks: kernels, transfers, what they wait
// for.
#pragma once

#include <span>
#include <vector>

#include "sim/moe/dispatch.hpp"
#include "sim/moe/expert_cost.hpp"
#include "sim/step/path_table.hpp"
#include "sim/step/task_graph.hpp"

namespace moesim {

/// How the transfers of a layer run.
struct CommunicationModel {
  DispatchSpec dispatch;
  Seconds kernel_start;         ///< of one dispatch or combine kernel
  Seconds message_gap;          ///< sender time per message
  Seconds combine_extra_start;  ///< of a combine kernel, beyond kernel_start
  Bytes message_overhead;       ///< link bytes a message costs beyond its own
  /// Bytes/s that the multiprocessors of one kernel copy, all together; 0: no bound.
  BytesPerSecond copy_rate;
  BytesPerSecond combine_copy_rate;
  /// Of every link, for the time of a first chunk; empty: it takes none. Outlives the model.
  std::span<const BytesPerSecond> capacities = {};
};

/// What the constants say of the dispatcher's kernels; copy rates are sms * the rate of one.
[[nodiscard]] CommunicationModel communication_model(const DispatchSpec& dispatch,
                                                     const CostConstants& constants,
                                                     std::span<const BytesPerSecond> capacities);

/// How long each rank's kernel issues messages and copies at least: the longer of its messages, one
/// after the other, and its copying.
[[nodiscard]] std::vector<Seconds> issue_times(const CommPlan& plan,
                                               const CommunicationModel& model,
                                               bool combine,
                                               std::size_t ranks);

/// Where a phase begins and ends, by rank.
struct PhaseTasks {
  std::vector<TaskId> start;  ///< launch of the kernel
  std::vector<TaskId> done;
};

/// Appends one phase; append_layer says what each rank waits for. Label: `label` with the kind of
/// each task.
/// @param ready per rank, the task after which its kernel is launched
[[nodiscard]] PhaseTasks append_phase(TaskGraph& graph,
                                      const CommPlan& plan,
                                      const CommunicationModel& model,
                                      PathTable& paths,
                                      TaskLabel label,
                                      const std::vector<TaskId>& ready);

}  // namespace moesim
