// SPDX-License-Identifier: Apache-2.0
// How every kernel is launched: one-dimensional grid and block, arguments converted to the kernel's
// types, errors thrown.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <limits>
#include <stdexcept>

#include "gpu_ref/device/check.hpp"

namespace moesim::gpu_ref {

struct LaunchShape {
  std::int64_t blocks = 0;
  unsigned threads = 0;
};

template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...),
            LaunchShape shape,
            cudaStream_t stream,
            Arguments... arguments) {
  if (shape.blocks > std::numeric_limits<std::int32_t>::max()) {
    throw std::invalid_argument("launch: more than 2^31 - 1 blocks");
  }
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(shape.blocks));
  config.blockDim = dim3(shape.threads);
  config.stream = stream;
  MOESIM_CUDA_CHECK(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...));
}

}  // namespace moesim::gpu_ref
