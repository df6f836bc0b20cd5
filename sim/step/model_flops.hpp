// SPDX-License-Identifier: Apache-2.0
// The arithmetic that a step needs, whatever the machine does: the numerator of MFU.
#pragma once

#include "sim/core/units.hpp"
#include "sim/step/whole_model.hpp"

namespace moesim {

/// Of one step over all ranks. A forward pass of T tokens with R rows through the head:
///   2 T (active - tables) + 2 R vocabulary hidden + layers * pairs * 2 heads (q + v)
/// pairs: causal pairs of a query and a key, q and v the widths of their heads; training is three
/// times that, times micro_batches * dp. Nothing for dropped, padded or recomputed work, so that
/// MFU falls with each. Source: PaLM (Chowdhery et al. 2022), appendix B, with causal attention
/// halved as Megatron-LM counts it. Valid for: top_k experts a token. Checked by: train_step_test
/// (Qwen3-30B-A3B: 23.0 Gflop a token of training at 4,096, as Megatron-Bridge's figures imply).
[[nodiscard]] Flops step_flops(const WholeModel& model);

}  // namespace moesim
