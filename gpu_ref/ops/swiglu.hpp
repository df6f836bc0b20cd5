// SPDX-License-Identifier: Apache-2.0
// The activation between the two GEMMs of an expert.
#pragma once

#include <cstdint>

#include "gpu_ref/device/handles.hpp"
#include "gpu_ref/formats.hpp"

namespace moesim::gpu_ref {

struct SwigluShape {
  std::int64_t num_rows = 0;
  int width = 0;  ///< of an expert, multiple of 8
};

/// out[r, f] = silu(gate_up[r, f]) * gate_up[r, width + f], silu(g) = g / (1 + exp(-g))
///   gate_up [num_rows, 2 * width] bf16 | out [num_rows, width] bf16
/// f32 inside. Moves 6 rows width bytes.
void swiglu(const Bf16* gate_up, Bf16* out, const SwigluShape& shape, StreamHandle stream);

/// With g, u = gate_up[r, f], gate_up[r, width + f], s = 1 / (1 + exp(-g)):
///   d_gate_up[r, f] = d_out[r, f] * u * s * (1 + g * (1 - s)), d_gate_up[r, width + f] = d_out[r,
///   f] * g * s
/// Moves 10 rows width bytes.
void swiglu_backward(const Bf16* gate_up,
                     const Bf16* d_out,
                     Bf16* d_gate_up,
                     const SwigluShape& shape,
                     StreamHandle stream);

}  // namespace moesim::gpu_ref
