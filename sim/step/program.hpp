// SPDX-License-Identifier: Apache-2.0
// The order in which a rank issues the work of a pass through some layers. No times, no clock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "sim/moe/model.hpp"
#include "sim/step/layout.hpp"

namespace moesim {

enum class Op : std::uint8_t {
  kGather,  ///< TP: rows or partial sums go round the group
  kAttention,
  kDense,
  kGate,
  kDispatch,
  kShared,   ///< does not wait for the dispatch or combine that runs
  kExperts,  ///< the routed ones
  kCombine,
  kReduce,
  kHead,
  kYield,  ///< the other micro-batch's turn
};

struct ProgramStep {
  Op op = Op::kAttention;
  int layer = 0;
  bool backward = false;

  bool operator==(const ProgramStep&) const = default;
};
using Program = std::vector<ProgramStep>;

/// What a pass runs through.
struct PassShape {
  StageLayers layers;
  bool head = true;  ///< the head follows the last layer
  int tp = 1;
  Overlap overlap = Overlap::kNone;
  Recompute recompute = Recompute::kNone;
};

/// A layer is [gather] attention [gather] and [gather] dense [gather], or
///   none           gate dispatch experts shared combine reduce
///   shared_expert  gate dispatch shared experts combine reduce
///   two_batch,     gate dispatch | experts combine | shared reduce
///   dualpipe
/// where | yields to the other micro-batch, so that A's dispatch has B's attention beside it, B's
/// dispatch A's experts, A's combine B's experts, B's combine A's shared expert and next attention.
/// In brackets with tp > 1 only; the first layer of the model has its rows already.
/// Source: DeepSeek-V3 report, section 3.4.1; SGLang's two-batch overlap (operations_strategy.py,
/// prefill), which yields at the same places; Megatron-Core's moe_shared_expert_overlap. Valid for:
/// one order for prefill and decode (SGLang's decode order, two stages apart, is left out). Checked
/// by: overlap_test.
[[nodiscard]] Program forward_program(const ModelShape& model, const PassShape& pass);

/// The same layers backwards: the combine's gradient is sent as the dispatch is, the dispatch's as
/// the combine is, so a layer is reduce dispatch experts combine gate attention with the yields and
/// the shared expert where the forward pass has them. Recompute::kFull runs a layer forwards again
/// first, its exchanges too.
/// Source: DeepEP README (the dispatch of the backward pass is a combine and the other way round).
[[nodiscard]] Program backward_program(const ModelShape& model, const PassShape& pass);

/// Runs of a program between yields: steps [begin[i], begin[i + 1]).
[[nodiscard]] std::vector<std::size_t> segments(const Program& program);

/// A step of one of several programs.
struct IssuedStep {
  std::size_t program = 0;
  std::size_t step = 0;
};

/// Every step of programs that take turns, each up to its next yield.
[[nodiscard]] std::vector<IssuedStep> order_of_issue(std::span<const Program> programs);

}  // namespace moesim
