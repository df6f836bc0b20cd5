// SPDX-License-Identifier: Apache-2.0
// The least time that a step of a whole model can take, without simulating it: what a search needs
// to leave configurations out with proof.
#pragma once

#include "sim/core/units.hpp"
#include "sim/step/whole_step.hpp"

namespace moesim {

/// What a step of a whole model depends on before a cluster is built or routing is drawn.
struct WholeShape {
  ModelShape model;
  ComputeModel compute;
  StepKind kind = StepKind::kDecode;  ///< kPrefill or kDecode
  ParallelSpec parallel;
  BatchSpec batch;
  Dtype kv_dtype = Dtype::kBf16;
  bool dropless = true;  ///< no assignment is dropped
};

/// No rank's compute takes less, whatever the routing and however fast the network:
///   layers * attention + dense layers * dense + head
///   + MoE layers * (gate + shared experts + weighted sum without copies + routed)
/// as whole steps have them.
///   routed = sum over the kernels of an expert FFN of
///            max(flops / (rate * efficiency), bytes / (bandwidth * efficiency))
/// over the assignments of an average rank, tokens * top_k, with the weights of top_k / ep experts.
/// Proof: all parts but the routed experts are the same on every rank. The flops and bytes of all
/// ranks together are at least those of ep * tokens * top_k rows and of the top_k experts that any
/// token needs, so some rank has no less than the mean. Grouped GEMMs take at least flops / rate
/// and bytes / bandwidth (tiles only add). 0 for the routed part where assignments may be dropped.
/// Rounding of the clock is taken off: 1e-6 of the whole. Valid for: GPUs at nominal speed or
/// slower, with or without overlap: what overlaps is communication, whose kernels' starts are
/// therefore left out, as are all bytes between ranks: before the routing is drawn they may all
/// stay at home. Checked by: whole_bound_test (worked; property: no step beats it, INV-3).
[[nodiscard]] Seconds least_step_time(const WholeShape& shape);

}  // namespace moesim
