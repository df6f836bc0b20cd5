// SPDX-License-Identifier: Apache-2.0
// quantise_rows and transpose_scales: see quantise.hpp.
#include <cuda_fp8.h>

#include <stdexcept>

#include "gpu_ref/device/launch.cuh"
#include "gpu_ref/device/numbers.cuh"
#include "gpu_ref/device/warp.cuh"
#include "gpu_ref/ops/quantise.hpp"
#include "gpu_ref/ops/quantise_common.cuh"

namespace moesim::gpu_ref {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;
constexpr int kLaneElements = kScaleBlock / kWarp;
constexpr int kSlices = 32;  ///< blocks that share a group's scales
static_assert(kLaneElements == 4);

/// Warp w of the grid has block w: 4 elements a lane.
__global__ void __launch_bounds__(kThreads)
    quantise_rows_kernel(const Bf16* in, Fp8* values, float* scales, std::int64_t blocks) {
  const std::int64_t block = static_cast<std::int64_t>(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  if (block >= blocks) {
    return;
  }
  const std::int64_t begin = block * kScaleBlock + lane * kLaneElements;
  const uint2 raw = *reinterpret_cast<const uint2*>(in + begin);
  const float v[kLaneElements] = {
      low_half(raw.x), high_half(raw.x), low_half(raw.y), high_half(raw.y)};
  float largest = 0.0F;
  for (int i = 0; i < kLaneElements; ++i) {
    largest = fmaxf(largest, fabsf(v[i]));
  }
  const float scale = scale_of_largest(warp_max(largest));
  *reinterpret_cast<unsigned*>(values + begin) =
      fp8_bits(v[0], scale) | fp8_bits(v[1], scale) << 8U | fp8_bits(v[2], scale) << 16U |
      fp8_bits(v[3], scale) << 24U;
  if (lane == 0) {
    scales[block] = scale;
  }
}

__global__ void transpose_scales_kernel(const float* in,
                                        const std::int64_t* row_begin,
                                        int blocks,
                                        float* out) {
  const int group = static_cast<int>(blockIdx.x) / kSlices;
  const int slice = static_cast<int>(blockIdx.x) % kSlices;
  const std::int64_t begin = row_begin[group];
  const std::int64_t rows = row_begin[group + 1] - begin;
  for (std::int64_t i = slice * kThreads + static_cast<int>(threadIdx.x); i < rows;
       i += kSlices * kThreads) {
    for (int l = 0; l < blocks; ++l) {
      out[begin * blocks + l * rows + i] = in[(begin + i) * blocks + l];
    }
  }
}

}  // namespace

void quantise_rows(
    const Bf16* in, Fp8* values, float* scales, const QuantiseShape& shape, StreamHandle stream) {
  if (shape.width < kScaleBlock || shape.width % kScaleBlock != 0) {
    throw std::invalid_argument("quantise_rows: width is not a positive multiple of 128");
  }
  const std::int64_t blocks = shape.num_rows * scale_blocks(shape.width);
  if (blocks > 0) {
    launch(quantise_rows_kernel,
           {(blocks + kWarps - 1) / kWarps, kThreads},
           stream,
           in,
           values,
           scales,
           blocks);
  }
}

void transpose_scales(const float* in,
                      const std::int64_t* row_begin,
                      int groups,
                      int blocks,
                      float* out,
                      StreamHandle stream) {
  if (groups < 1 || blocks < 1) {
    throw std::invalid_argument("transpose_scales: groups or blocks is not positive");
  }
  launch(transpose_scales_kernel,
         {static_cast<std::int64_t>(groups) * kSlices, kThreads},
         stream,
         in,
         row_begin,
         blocks,
         out);
}

}  // namespace moesim::gpu_ref
