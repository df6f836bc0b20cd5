// SPDX-License-Identifier: Apache-2.0
#include <cuda_runtime.h>

#include <algorithm>

#include "gpu_ref/device/check.hpp"
#include "gpu_ref/measure/gpu_fill.hpp"

namespace moesim::measure {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kMostBlocks = 4096;
constexpr double kClockHz = 2e9;

__device__ std::uint64_t mixed(std::uint64_t seed, std::uint64_t i) {
  std::uint64_t z = seed * 0xda942042e4dd58b5U + (i + 1) * 0x9e3779b97f4a7c15U;
  z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
  return z ^ (z >> 31U);
}

/// The upper half of a float, rounded to nearest even.
__device__ std::uint16_t bf16_bits(float value) {
  const std::uint32_t bits = __float_as_uint(value);
  return static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16U) & 1U)) >> 16U);
}

__global__ void fill_bf16_kernel(std::uint16_t* values,
                                 std::int64_t count,
                                 float scale,
                                 std::uint64_t seed) {
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += step) {
    const std::uint64_t random = mixed(seed, static_cast<std::uint64_t>(i));
    const float sum = static_cast<float>((random & 0xffffU) + ((random >> 16U) & 0xffffU) +
                                         ((random >> 32U) & 0xffffU) + (random >> 48U));
    // Four uniforms on [0, 65535]: mean 131070, standard deviation 65536 / sqrt(3).
    values[i] = bf16_bits(scale * (sum - 131070.0F) * (1.7320508F / 65536.0F));
  }
}

__global__ void fill_float_kernel(float* values, std::int64_t count, std::uint64_t seed) {
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += step) {
    values[i] = static_cast<float>(mixed(seed, static_cast<std::uint64_t>(i)) >> 40U) * 0x1p-24F;
  }
}

__global__ void hold_kernel(long long cycles) {
  const long long begin = clock64();
  while (clock64() - begin < cycles) {
    __nanosleep(200);
  }
}

__global__ void empty_kernel() {}

unsigned blocks_for(std::int64_t count) {
  return static_cast<unsigned>(std::min(kMostBlocks, (count + kThreads - 1) / kThreads));
}

}  // namespace

void fill_random(gpu_ref::Bf16* values,
                 std::int64_t count,
                 float scale,
                 std::uint64_t seed,
                 gpu_ref::StreamHandle stream) {
  if (count == 0) {
    return;
  }
  fill_bf16_kernel<<<blocks_for(count), kThreads, 0, stream>>>(
      reinterpret_cast<std::uint16_t*>(values), count, scale, seed);
  MOESIM_CUDA_CHECK(cudaGetLastError());
}

void fill_random(float* values,
                 std::int64_t count,
                 std::uint64_t seed,
                 gpu_ref::StreamHandle stream) {
  if (count == 0) {
    return;
  }
  fill_float_kernel<<<blocks_for(count), kThreads, 0, stream>>>(values, count, seed);
  MOESIM_CUDA_CHECK(cudaGetLastError());
}

void hold(double seconds, gpu_ref::StreamHandle stream) {
  hold_kernel<<<1, 1, 0, stream>>>(static_cast<long long>(seconds * kClockHz));
  MOESIM_CUDA_CHECK(cudaGetLastError());
}

void launch_empty(gpu_ref::StreamHandle stream) {
  empty_kernel<<<1, 32, 0, stream>>>();
  MOESIM_CUDA_CHECK(cudaGetLastError());
}

}  // namespace moesim::measure
