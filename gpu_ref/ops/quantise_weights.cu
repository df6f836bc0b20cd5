// SPDX-License-Identifier: Apache-2.0
// quantise_weights: see quantise.hpp.
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

/// A block of threads a 128 x 128 block; 128 rows of all groups are one band.
__global__ void __launch_bounds__(kThreads) quantise_weights_kernel(
    const Bf16* in, Fp8* values, float* scales, int inner, int scale_stride) {
  __shared__ float partial[kWarps];
  const int blocks = inner / kScaleBlock;
  const auto band = static_cast<std::int64_t>(blockIdx.x) / blocks;
  const int column = static_cast<int>(blockIdx.x) % blocks;
  const std::int64_t begin =
      band * kScaleBlock * inner + static_cast<std::int64_t>(column) * kScaleBlock;
  const int thread = static_cast<int>(threadIdx.x);
  float largest = 0.0F;
  for (int i = thread; i < kScaleBlock * kScaleBlock; i += kThreads) {
    const std::int64_t at =
        begin + static_cast<std::int64_t>(i / kScaleBlock) * inner + i % kScaleBlock;
    largest = fmaxf(largest, fabsf(__uint_as_float(static_cast<unsigned>(in[at].bits) << 16U)));
  }
  largest = warp_max(largest);
  if (thread % kWarp == 0) {
    partial[thread / kWarp] = largest;
  }
  __syncthreads();
  largest = warp_max(thread % kWarp < kWarps ? partial[thread % kWarp] : 0.0F);
  const float scale = scale_of_largest(largest);
  for (int i = thread; i < kScaleBlock * kScaleBlock; i += kThreads) {
    const std::int64_t at =
        begin + static_cast<std::int64_t>(i / kScaleBlock) * inner + i % kScaleBlock;
    const float value = __uint_as_float(static_cast<unsigned>(in[at].bits) << 16U);
    values[at].bits = static_cast<std::uint8_t>(fp8_bits(value, scale));
  }
  if (thread == 0) {
    scales[band * scale_stride + column] = scale;
  }
}

}  // namespace

void quantise_weights(
    const Bf16* in, Fp8* values, float* scales, const WeightShape& shape, StreamHandle stream) {
  if (shape.outer < kScaleBlock || shape.outer % kScaleBlock != 0 || shape.inner < kScaleBlock ||
      shape.inner % kScaleBlock != 0) {
    throw std::invalid_argument(
        "quantise_weights: outer or inner is not a positive multiple of 128");
  }
  const std::int64_t bands = static_cast<std::int64_t>(shape.groups) * (shape.outer / kScaleBlock);
  if (bands > 0) {
    launch(quantise_weights_kernel,
           {bands * (shape.inner / kScaleBlock), kThreads},
           stream,
           in,
           values,
           scales,
           shape.inner,
           weight_scale_stride(shape.inner));
  }
}

}  // namespace moesim::gpu_ref
