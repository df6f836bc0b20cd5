// SPDX-License-Identifier: Apache-2.0
// Expert outputs back to tokens, and the gradient of it.
#pragma once

#include <cstdint>

#include "gpu_ref/device/handles.hpp"
#include "gpu_ref/formats.hpp"

namespace moesim::gpu_ref {

struct CombineShape {
  std::int64_t num_tokens = 0;
  int top_k = 0;   ///< at most kMostTopK
  int hidden = 0;  ///< multiple of 8
};

/// out[t, :] = sum_k weights[t, k] * rows[row_of_assignment[t, k], :] (+ addend[t, :])
///   rows [num_rows, hidden] bf16 | row_of_assignment [num_tokens, top_k] i32, -1: no term
///   weights [num_tokens, top_k] f32, null: all 1
///   addend [num_tokens, hidden] bf16 or null (the shared expert; may be out itself)
///   out [num_tokens, hidden] bf16
/// A block a token, sums in f32 in slot order, rounded once.
/// Moves 2 H (rows + T) + 8 T k bytes (+ 2 T H with an addend), 2 rows H FLOPs.
struct CombineInputs {
  const Bf16* rows = nullptr;
  const std::int32_t* row_of_assignment = nullptr;
  const float* weights = nullptr;
  const Bf16* addend = nullptr;
};
void combine_rows(const CombineInputs& in,
                  Bf16* out,
                  const CombineShape& shape,
                  StreamHandle stream);

/// d_rows[row, :] = weights[t, k] * d_out[t, :] and d_weights[t, k] = sum_h d_out[t, h] * rows[row,
/// h] for row = row_of_assignment[t, k]; d_weights is 0 where that is -1.
///   d_out [num_tokens, hidden] bf16 | in.rows, in.row_of_assignment, in.weights as above
///   d_rows [num_rows, hidden] bf16 | d_weights [num_tokens, top_k] f32
/// A block a token. Moves 2 H (T + 2 rows) + 12 T k bytes, 3 rows H FLOPs.
void combine_rows_backward(const Bf16* d_out,
                           const CombineInputs& in,
                           Bf16* d_rows,
                           float* d_weights,
                           const CombineShape& shape,
                           StreamHandle stream);

}  // namespace moesim::gpu_ref
