// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/device/devices.hpp"

#include <cublas_v2.h>
#include <cuda_runtime.h>
#include <nccl.h>

#include "gpu_ref/device/check.hpp"

namespace moesim::gpu_ref {
namespace {

int attribute(cudaDeviceAttr name, int device) {
  int value = 0;
  MOESIM_CUDA_CHECK(cudaDeviceGetAttribute(&value, name, device));
  return value;
}

/// 10000 * major + 100 * minor + patch of the library that is loaded.
int cublas_version() {
  int major = 0;
  int minor = 0;
  int patch = 0;
  MOESIM_CUBLAS_CHECK(cublasGetProperty(MAJOR_VERSION, &major));
  MOESIM_CUBLAS_CHECK(cublasGetProperty(MINOR_VERSION, &minor));
  MOESIM_CUBLAS_CHECK(cublasGetProperty(PATCH_LEVEL, &patch));
  return 10000 * major + 100 * minor + patch;
}

}  // namespace

bool built_with_cuda() {
  return true;
}

int attached_gpus() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    MOESIM_CUDA_IGNORE(cudaGetLastError());  // no driver or no device is an answer, not an error
    return 0;
  }
  return count;
}

DeviceInfo device_info(int device) {
  cudaDeviceProp properties{};
  MOESIM_CUDA_CHECK(cudaGetDeviceProperties(&properties, device));
  DeviceInfo info;
  info.name = properties.name;
  info.compute_capability = 10 * properties.major + properties.minor;
  info.multiprocessors = properties.multiProcessorCount;
  info.memory_bytes = static_cast<std::int64_t>(properties.totalGlobalMem);
  info.l2_bytes = properties.l2CacheSize;
  info.clock_khz = attribute(cudaDevAttrClockRate, device);
  info.memory_clock_khz = attribute(cudaDevAttrMemoryClockRate, device);
  MOESIM_CUDA_CHECK(cudaDriverGetVersion(&info.driver_version));
  MOESIM_CUDA_CHECK(cudaRuntimeGetVersion(&info.runtime_version));
  info.cublas_version = cublas_version();
  MOESIM_NCCL_CHECK(ncclGetVersion(&info.nccl_version));
  return info;
}

void use_device(int device) {
  MOESIM_CUDA_CHECK(cudaSetDevice(device));
}

}  // namespace moesim::gpu_ref
