// SPDX-License-Identifier: Apache-2.0
// Passes of micro-batches over the ranks of one expert-parallel group, on one task graph: a compute
// stream and a communication stream a rank.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sim/step/pass_costs.hpp"
#include "sim/step/program.hpp"
#include "sim/step/step_trace.hpp"
#include "sim/step/whole_model.hpp"

namespace moesim {

/// One micro-batch's way through some layers.
struct Pass {
  Program program;
  PassLoad load;
  std::span<const PreparedLayer> layers;  ///< MoE layers of the program, in model order
};

struct PassResult {
  SimTime makespan;
  WholeParts parts{};     ///< of the critical path; they sum to the makespan exactly
  SimTime communication;  ///< kernels of a rank, first launch to done each, added up; mean of ranks
  std::int64_t flows = 0;
  std::int64_t network_events = 0;
};

/// A rank's rows, from every rank to every other one of its TP group.
[[nodiscard]] CommPlan exchange_in_groups(const WholeModel& model, const PassLoad& load);

/// Which of the layers of a pass a step is of; 0 for other layers than MoE ones.
[[nodiscard]] std::size_t moe_index(const ModelShape& model,
                                    std::span<const PreparedLayer> layers,
                                    const ProgramStep& step);

/// Runs one pass, or two that take turns at their yields, every rank ready at time 0.
///
/// A rank computes one thing at a time in the order in which the programs issue it. A communication
/// kernel starts when its own pass has computed what it sends; with two passes, kernels of a rank
/// run one after the other too, except low_latency ones. Where work overlaps, compute that runs
/// beside a kernel of its rank proceeds at the pace alone / beside of pass_costs.
/// No barrier: a rank waits only for what it needs.
/// The host needs host_layer to issue a layer forwards and twice that backwards. It issues ahead,
/// also into the pass before, but before each dispatch whose receivers must learn how many rows
/// come (has_notify, no padding; forwards and forwards again) it waits until the slowest rank has
/// chosen its experts. What it issues between two waits takes no less than its time; the pieces
/// before the first and after the last wait count as one, since other passes lie next to them. What
/// that adds is part `host`; without waits that is max(pass, host).
/// Source: CUDA streams, which keep their order of issue; DeepEP, HybridEP and Megatron-Core's
/// all-to-all dispatcher, whose host waits for counts forwards and keeps them for the backward pass
/// (docs/models.md). Left out: kernels of other streams that wait for multiprocessors; the time to
/// wake the host. Checked by: whole_step_test (worked; nothing overlapped), overlap_test,
/// train_step_test (host).
[[nodiscard]] PassResult run_passes(const WholeModel& model, std::span<const Pass> passes);

/// The same with its tasks kept.
/// @param makespan  about as long: says how closely links are looked at (execute_watched)
struct TracedPass {
  PassResult result;
  StepTrace trace;
};
[[nodiscard]] TracedPass trace_passes(const WholeModel& model,
                                      std::span<const Pass> passes,
                                      SimTime makespan);

}  // namespace moesim
