// SPDX-License-Identifier: Apache-2.0
// The least time that a step of a whole model can take, without simulating it: what a search needs
// to leave configurations out with proof.
#pragma once

#include <vector>

#include "sim/core/units.hpp"
#include "sim/step/whole_step.hpp"

namespace moesim {

/// What a step of a whole model depends on before a cluster is built or routing is drawn.
struct WholeShape {
  ModelShape model;
  ComputeModel compute;
  StepKind kind = StepKind::kDecode;  ///< kPrefill, kDecode or kTrain
  ParallelSpec parallel;
  BatchSpec batch;
  Dtype kv_dtype = Dtype::kBf16;
  bool dropless = true;  ///< no assignment is dropped
  Overlap overlap = Overlap::kNone;
  Recompute recompute = Recompute::kNone;                ///< kTrain
  Schedule schedule = Schedule::kOneForwardOneBackward;  ///< kTrain
};

/// Prefill and decode: no rank's step takes less, whatever the routing and however fast the links:
///   layers * attention + dense layers * dense + head + exchanges * start
///   + MoE layers * (gate + shared experts + weighted sum without copies + routed + starts)
///   routed  sum over the kernels of an expert FFN of
///           max(flops / (rate * efficiency), bytes / (bandwidth * efficiency))
///           over the assignments of an average rank, tokens * top_k, with the weights of top_k /
///           ep experts; 0 where assignments may be dropped
///   starts  of the dispatch's and the combine's kernel and of each exchange of a TP group; beside
///           shared experts (overlap shared_expert) the longer of them and the dispatch's start; 0
///           where batches take turns (two_batch, dualpipe)
/// and with pp > 1 forward_step() (forward_pipeline.hpp) of the stages' sums, transfers for free.
/// Training: no step takes less than any stage s of it,
///   sum over parts q < s of (f_q + b_q) + micro_batches * sum over parts q of stage s of (f_q +
///   b_q)
/// with f_q the above for a forward pass through part q and b_q for the backward pass: twice the
/// forward times, attention_backward_time, the weighted sum thrice, and f_q before with
/// Recompute::kFull. Nothing is proved of the schedule dualpipe, whose stages hold parts of both
/// ends: its bound is 0.
/// Proof: all parts but the routed experts are the same on every rank. The flops and bytes of all
/// ranks together are at least those of ep * tokens * top_k rows and of the top_k experts that any
/// token needs, so some rank has no less than the mean. Grouped GEMMs take at least flops / rate
/// and bytes / bandwidth (tiles only add). Without overlap a rank starts an exchange after it has
/// computed what it sends and computes on after its end, which comes no sooner than its start. Of
/// training, a stage runs its passes one after the other; none of them begins before its
/// micro-batch has been forwards through all parts before, and the last one's gradients still go
/// back through them. Rounding of the clock is taken off: 1e-6 of the whole. Valid for: GPUs at
/// nominal speed or slower. Left out: all bytes between ranks, since before the routing is drawn
/// they may all stay at home; gradients, optimiser and weights. Checked by: whole_bound_test
/// (worked; property: no step beats it, INV-3).
[[nodiscard]] Seconds least_step_time(const WholeShape& shape);

/// Training: no stage s ends its last pass earlier than the largest, over stages t from s on, of
///   sum over parts q < t of f_q + micro_batches * sum over parts q of stage t of (f_q + b_q)
///   + sum over parts q from s to t - 1 of b_q
/// (the gradients of the last micro-batch of t come back to s); of the first one, the above. None
/// of the schedule dualpipe.
[[nodiscard]] std::vector<Seconds> least_stage_ends(const WholeShape& shape);

[[nodiscard]] WholeShape shape_of(const WholeModel& model);

}  // namespace moesim
