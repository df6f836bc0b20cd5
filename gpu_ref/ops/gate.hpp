// SPDX-License-Identifier: Apache-2.0
// The gate's GEMMs.
#pragma once

#include <cstdint>

#include "gpu_ref/device/blas.hpp"
#include "gpu_ref/formats.hpp"

namespace moesim::gpu_ref {

struct GateShape {
  std::int64_t num_tokens = 0;
  int hidden = 0;           ///< multiple of 8
  int num_experts = 0;      ///< at most kMostExperts; any number
  bool accumulate = false;  ///< gate_dgrad adds to d_x
};

/// logits[t, e] = sum_h x[t, h] * gate[e, h]
///   x [num_tokens, hidden] bf16 | gate [num_experts, hidden] bf16 | logits [num_tokens,
///   num_experts] f32
/// One cuBLAS GEMM, products in bf16, sums in f32.
/// Moves 2 T H + 2 E H + 4 T E bytes, computes 2 T H E FLOPs.
void gate_logits(
    Blas& blas, const Bf16* x, const Bf16* gate, float* logits, const GateShape& shape);

/// d_x[t, h] = sum_e d_logits[t, e] * gate[e, h]
///   d_logits [num_tokens, num_experts] bf16 | gate as above | d_x [num_tokens, hidden] bf16
/// Moves 2 T E + 2 E H + 2 T H bytes, computes 2 T H E FLOPs.
void gate_dgrad(
    Blas& blas, const Bf16* d_logits, const Bf16* gate, Bf16* d_x, const GateShape& shape);

/// d_gate[e, h] = sum_t d_logits[t, e] * x[t, h]
///   d_logits, x as above | d_gate [num_experts, hidden] f32; zero for zero tokens
/// Moves 2 T E + 2 T H + 4 E H bytes, computes 2 T H E FLOPs.
void gate_wgrad(
    Blas& blas, const Bf16* d_logits, const Bf16* x, float* d_gate, const GateShape& shape);

}  // namespace moesim::gpu_ref
