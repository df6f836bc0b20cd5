// SPDX-License-Identifier: Apache-2.0
// What the tasks of a pass stand for: parts of a step's time, and words of a timeline.
#pragma once

#include <string_view>

#include "sim/step/program.hpp"
#include "sim/step/task_graph.hpp"
#include "sim/step/whole_model.hpp"

namespace moesim {

/// The part of a step's time that a task on its critical path counts to.
[[nodiscard]] WholePart part_of(const TaskLabel& label);
/// What a step of a program that computes is as a task.
[[nodiscard]] TaskKind kind_of(Op op);

/// "attention", ...; "" for what is no compute.
[[nodiscard]] std::string_view compute_name(TaskKind kind);
/// "dispatch", "combine" or "TP exchange", of the task that begins it.
[[nodiscard]] std::string_view kernel_name(const TaskLabel& label);
/// Of what goes on beside other things of its rank: "dispatch flow", "message issue", ...; ""
/// for what does not.
[[nodiscard]] std::string_view async_name(const TaskLabel& label);

}  // namespace moesim
