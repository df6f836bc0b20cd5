// SPDX-License-Identifier: Apache-2.0
// bf16 to FP8 E4M3 with block scales, and the layout that cuBLASLt reads scales in.
#pragma once

#include <cstdint>

#include "gpu_ref/device/handles.hpp"
#include "gpu_ref/formats.hpp"

namespace moesim::gpu_ref {

/// Blocks of kScaleBlock along a row of `width`.
[[nodiscard]] constexpr int scale_blocks(int width) {
  return (width + kScaleBlock - 1) / kScaleBlock;
}

struct QuantiseShape {
  std::int64_t num_rows = 0;
  int width = 0;  ///< multiple of kScaleBlock
};

/// Per block of 128 of a row: scale = largest magnitude / 448 (1 for a block of zeros),
/// values = fp8(in / scale); in is about values * scale.
///   in [num_rows, width] bf16 | values [num_rows, width] fp8 | scales [num_rows, width / 128] f32
/// A warp a block of 128. Moves rows (3 width + width / 32) bytes.
void quantise_rows(
    const Bf16* in, Fp8* values, float* scales, const QuantiseShape& shape, StreamHandle stream);

/// Stride of a weight's scales in cuBLASLt's 128x128 mode: blocks along inner, rounded up to 4.
[[nodiscard]] constexpr int weight_scale_stride(int inner) {
  return (scale_blocks(inner) + 3) / 4 * 4;
}

/// Per 128 x 128 block of each weight [outer, inner] of `groups`: one scale as above.
///   in [groups, outer, inner] bf16, outer and inner multiples of kScaleBlock
///   values the same in fp8 | scales [groups, outer / 128, weight_scale_stride(inner)] f32, the
///   padding unwritten
/// A block of threads a block of the weight. Moves 3 bytes an element.
struct WeightShape {
  int groups = 0;
  int outer = 0;
  int inner = 0;
};
void quantise_weights(
    const Bf16* in, Fp8* values, float* scales, const WeightShape& shape, StreamHandle stream);

/// Scales of rows [num_rows, blocks] to cuBLASLt's order, group by group: for a group of rows
/// [b, e), out[b * blocks + l * (e - b) + i] = in[(b + i), l].
///   row_begin [groups + 1] i64 on the device | in, out [num_rows, blocks] f32
void transpose_scales(const float* in,
                      const std::int64_t* row_begin,
                      int groups,
                      int blocks,
                      float* out,
                      StreamHandle stream);

}  // namespace moesim::gpu_ref
