// SPDX-License-Identifier: Apache-2.0
// A stand-in for CUDA on the CPU, as far as gpu_ref uses it, so that kernels, launchers and the layer run
// in tests without a GPU. Device memory is heap memory; streams do everything at once; the threads of a
// block are fibers that switch at barriers and shuffles, in an order that changes from block to block.
// A barrier or full-mask shuffle that some thread never reaches is an error, not a hang.
// What this cannot show: races between warps within one stretch, memory models, speed.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>

#define __global__
#define __device__
#define __host__
#define __shared__ static thread_local
#define __launch_bounds__(...)

struct uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) {
  return {x, y, z, w};
}

struct dim3 {
  unsigned x = 1;
  unsigned y = 1;
  unsigned z = 1;
  dim3() = default;
  explicit dim3(unsigned count) : x(count) {}
};

extern thread_local dim3 threadIdx;
extern thread_local dim3 blockIdx;

struct CUstream_st;
struct CUevent_st;
using cudaStream_t = CUstream_st*;
using cudaEvent_t = CUevent_st*;

enum cudaError_t { cudaSuccess = 0, cudaErrorInvalidValue = 1, cudaErrorMemoryAllocation = 2 };
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
enum cudaDeviceAttr { cudaDevAttrClockRate, cudaDevAttrMemoryClockRate };
constexpr unsigned cudaStreamNonBlocking = 1;

struct cudaDeviceProp {
  char name[256];
  int major, minor, multiProcessorCount, l2CacheSize;
  std::size_t totalGlobalMem;
};

struct cudaLaunchConfig_t {
  dim3 gridDim;
  dim3 blockDim;
  std::size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
};

enum cudaDataType_t {
  CUDA_R_16BF,
  CUDA_R_32F,
  CUDA_R_8F_E4M3,
};

const char* cudaGetErrorName(cudaError_t error);
const char* cudaGetErrorString(cudaError_t error);
cudaError_t cudaGetLastError();
cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device);
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device);
cudaError_t cudaDriverGetVersion(int* version);
cudaError_t cudaRuntimeGetVersion(int* version);
cudaError_t cudaMalloc(void** pointer, std::size_t bytes);
cudaError_t cudaFree(void* pointer);
cudaError_t cudaMemcpyAsync(
    void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaMemsetAsync(void* to, int byte, std::size_t bytes, cudaStream_t stream);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);
cudaError_t cudaEventCreate(cudaEvent_t* event);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end);

namespace emulation {

/// Runs every block of the grid, one after the other; throws std::logic_error on a barrier that
/// cannot complete.
void run_grid(unsigned blocks, unsigned threads, const std::function<void()>& kernel);

/// A slot for the calling thread's value in its warp, and the barrier of the warp.
std::uint32_t shuffle(std::uint32_t bits, int lane_mask);
void warp_barrier();
void block_barrier();
bool block_any(bool value);

}  // namespace emulation

template <typename... Parameters, typename... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config,
                               void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
  const unsigned threads = config->blockDim.x;
  if (config->gridDim.x == 0 || threads == 0 || threads > 1024 || threads % 32 != 0) {
    return cudaErrorInvalidValue;
  }
  emulation::run_grid(config->gridDim.x, threads, [&] { kernel(arguments...); });
  return cudaSuccess;
}

inline float __uint_as_float(unsigned bits) {
  float value = 0;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

inline void __syncthreads() {
  emulation::block_barrier();
}
inline void __syncwarp() {
  emulation::warp_barrier();
}
inline int __syncthreads_or(int value) {
  return emulation::block_any(value != 0) ? 1 : 0;
}

template <typename T>
T __shfl_xor_sync(unsigned /*mask*/, T value, int lane_mask) {
  static_assert(sizeof(T) == sizeof(std::uint32_t));
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  bits = emulation::shuffle(bits, lane_mask);
  std::memcpy(&value, &bits, sizeof(bits));
  return value;
}
