// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/device/buffer.hpp"

#include <cuda_runtime.h>

#include "gpu_ref/device/check.hpp"

namespace moesim::gpu_ref {

DeviceMemory::DeviceMemory(std::size_t bytes) : bytes_(bytes) {
  if (bytes > 0) {
    MOESIM_CUDA_CHECK(cudaMalloc(&data_, bytes));
  }
}

DeviceMemory::~DeviceMemory() {
  if (data_ != nullptr) {
    MOESIM_CUDA_IGNORE(cudaFree(data_));
  }
}

DeviceMemory::DeviceMemory(DeviceMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

DeviceMemory& DeviceMemory::operator=(DeviceMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

void copy_to_device(void* device, const void* host, std::size_t bytes, StreamHandle stream) {
  if (bytes > 0) {
    MOESIM_CUDA_CHECK(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, stream));
  }
}

void copy_to_host(void* host, const void* device, std::size_t bytes, StreamHandle stream) {
  if (bytes > 0) {
    MOESIM_CUDA_CHECK(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, stream));
  }
  MOESIM_CUDA_CHECK(cudaStreamSynchronize(stream));
}

void copy_on_device(void* to, const void* from, std::size_t bytes, StreamHandle stream) {
  if (bytes > 0) {
    MOESIM_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream));
  }
}

void wait_for_stream(StreamHandle stream) {
  MOESIM_CUDA_CHECK(cudaStreamSynchronize(stream));
}

void fill_bytes(void* device, int byte, std::size_t bytes, StreamHandle stream) {
  if (bytes > 0) {
    MOESIM_CUDA_CHECK(cudaMemsetAsync(device, byte, bytes, stream));
  }
}

}  // namespace moesim::gpu_ref
