// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/measure/require_gpus.hpp"

#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

#include "gpu_ref/device/check.hpp"

namespace moesim::measure {

int require_gpus() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count > 0) {
    return count;
  }
  MOESIM_CUDA_IGNORE(cudaGetLastError());
  throw std::runtime_error(
      "no NVIDIA GPU that CUDA can use: " +
      std::string(error == cudaSuccess ? "none is attached" : cudaGetErrorString(error)));
}

}  // namespace moesim::measure
