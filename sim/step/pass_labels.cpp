// SPDX-License-Identifier: Apache-2.0
#include "sim/step/pass_labels.hpp"

#include "sim/core/check.hpp"

namespace moesim {

WholePart part_of(const TaskLabel& label) {
  if (label.tensor_parallel) {
    return WholePart::kTensorParallel;
  }
  switch (label.kind) {
    case TaskKind::kAttention:
      return WholePart::kAttention;
    case TaskKind::kDense:
      return WholePart::kDense;
    case TaskKind::kHead:
      return WholePart::kHead;
    case TaskKind::kGate:
      return WholePart::kGate;
    case TaskKind::kExperts:
      return WholePart::kExperts;
    case TaskKind::kCombineFlow:
    case TaskKind::kCombineDone:
    case TaskKind::kReduce:
      return WholePart::kCombine;
    case TaskKind::kLaunch:
    case TaskKind::kIssue:
    case TaskKind::kPipelineFill:
    case TaskKind::kDispatchFlow:
    case TaskKind::kDispatchDone:
      return label.combine ? WholePart::kCombine : WholePart::kDispatch;
    case TaskKind::kBackground:  // nothing waits for it
    case TaskKind::kPipeline:
      break;
  }
  MOESIM_CHECK(false, "unknown task");
}

TaskKind kind_of(Op op) {
  switch (op) {
    case Op::kAttention:
      return TaskKind::kAttention;
    case Op::kDense:
      return TaskKind::kDense;
    case Op::kGate:
      return TaskKind::kGate;
    case Op::kShared:
    case Op::kExperts:
      return TaskKind::kExperts;
    case Op::kReduce:
      return TaskKind::kReduce;
    case Op::kHead:
      return TaskKind::kHead;
    case Op::kGather:
    case Op::kDispatch:
    case Op::kCombine:
    case Op::kYield:
      break;
  }
  MOESIM_CHECK(false, "a step that computes nothing");
}

std::string_view compute_name(TaskKind kind) {
  switch (kind) {
    case TaskKind::kAttention:
      return "attention";
    case TaskKind::kDense:
      return "dense";
    case TaskKind::kHead:
      return "head";
    case TaskKind::kGate:
      return "gate";
    case TaskKind::kExperts:
      return "experts";
    case TaskKind::kReduce:
      return "weighted sum";
    default:
      return "";
  }
}

std::string_view kernel_name(const TaskLabel& label) {
  if (label.tensor_parallel) {
    return "TP exchange";
  }
  return label.combine ? "combine" : "dispatch";
}

std::string_view async_name(const TaskLabel& label) {
  switch (label.kind) {
    case TaskKind::kDispatchFlow:
      return label.tensor_parallel ? "TP flow" : "dispatch flow";
    case TaskKind::kCombineFlow:
      return "combine flow";
    case TaskKind::kBackground:
      return "background flow";
    case TaskKind::kIssue:
      return "message issue";
    case TaskKind::kPipelineFill:
      return "pipeline fill";
    case TaskKind::kLaunch:
      return "kernel start";
    default:
      return "";
  }
}

}  // namespace moesim
