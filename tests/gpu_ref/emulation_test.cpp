// SPDX-License-Identifier: Apache-2.0
// The stand-ins notice what they are there to notice.
#include <cublas_v2.h>
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "gpu_ref/device/communicator.hpp"
#include "gpu_ref/device/launch.cuh"
#include "gpu_ref/device/warp.cuh"
#include "sim/core/diagnostics.hpp"

namespace moesim::gpu_ref::testing {
namespace {

constexpr unsigned kThreads = 64;

__global__ void reverse_kernel(int* values, bool with_barrier) {
  __shared__ int shared[kThreads];
  shared[threadIdx.x] = values[threadIdx.x];
  if (with_barrier) {
    __syncthreads();
  }
  values[threadIdx.x] = shared[kThreads - 1 - threadIdx.x];
}

__global__ void half_barrier_kernel() {
  if (threadIdx.x < kThreads / 2) {
    __syncthreads();
  }
}

__global__ void half_shuffle_kernel(float* value) {
  if (threadIdx.x % 32 < 16) {
    *value = warp_sum(1.0F);
  }
}

__global__ void sum_kernel(float* sums) {
  sums[threadIdx.x] = warp_sum(static_cast<float>(threadIdx.x));
}

/// Of first, first + 1, ...
std::array<int, kThreads> reversed(int first, bool with_barrier) {
  std::array<int, kThreads> values{};
  for (unsigned i = 0; i < kThreads; ++i) {
    values[i] = first + static_cast<int>(i);
  }
  launch(reverse_kernel, {1, kThreads}, nullptr, values.data(), with_barrier);
  return values;
}

TEST(Emulation, ABarrierOrdersSharedMemoryAndAMissingOneShows) {
  const auto is_reversed = [](int first, bool with_barrier) {
    const std::array<int, kThreads> values = reversed(first, with_barrier);
    return std::is_sorted(values.rbegin(), values.rend()) && values.back() == first;
  };
  EXPECT_TRUE(is_reversed(0, true));
  EXPECT_FALSE(is_reversed(1000, false));
  EXPECT_TRUE(is_reversed(2000, true));
}

TEST(Emulation, ABarrierThatNotEveryThreadReachesIsAnError) {
  EXPECT_THROW(launch(half_barrier_kernel, {1, kThreads}, nullptr), std::logic_error);
  float value = 0;
  EXPECT_THROW(launch(half_shuffle_kernel, {1, kThreads}, nullptr, &value), std::logic_error);
}

TEST(Emulation, ShufflesStayInsideAWarp) {
  std::array<float, kThreads> sums{};
  launch(sum_kernel, {1, kThreads}, nullptr, sums.data());
  EXPECT_EQ(sums[0], 496.0F);  // 0 + ... + 31
  EXPECT_EQ(sums[31], 496.0F);
  EXPECT_EQ(sums[32], 1520.0F);  // 32 + ... + 63
}

TEST(Emulation, LaunchesThatADeviceWouldRefuseThrow) {
  float value = 0;
  EXPECT_THROW(launch(sum_kernel, {0, 32}, nullptr, &value), EnvironmentError);
  EXPECT_THROW(launch(sum_kernel, {1, 2048}, nullptr, &value), EnvironmentError);
  EXPECT_THROW(launch(sum_kernel, {std::int64_t{1} << 40U, 32}, nullptr, &value),
               std::invalid_argument);
}

/// A peer that is not there ends the call with an error; the group of calls must not stay open, or
/// the next exchange would wait in a queue.
TEST(Communicator, AFailedExchangeLeavesNoGroupOpen) {
  Communicator alone(make_communicator_id(), 1, 0);
  const std::array<char, 4> from = {1, 2, 3, 4};
  std::array<char, 4> to{};
  const std::array<PeerBytes, 1> nobody = {PeerBytes{.peer = 7, .offset = 0, .bytes = 4}};
  EXPECT_THROW(alone.exchange(from.data(), nobody, to.data(), {}, nullptr), EnvironmentError);
  const std::array<PeerBytes, 1> itself = {PeerBytes{.peer = 0, .offset = 0, .bytes = 4}};
  alone.exchange(from.data(), itself, to.data(), itself, nullptr);
  EXPECT_EQ(to, from);
}

}  // namespace
}  // namespace moesim::gpu_ref::testing
