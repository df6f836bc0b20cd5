// SPDX-License-Identifier: Apache-2.0
// Which GPUs are attached. Works in every build: without CUDA there are none.
#pragma once

#include <cstdint>
#include <string>

namespace moesim::gpu_ref {

/// Whether this build holds the CUDA layer.
[[nodiscard]] bool built_with_cuda();

/// GPUs that CUDA can use here; 0 without CUDA, a driver or a device. Never throws.
[[nodiscard]] int attached_gpus();

/// Facts of a GPU that a measurement file states.
struct DeviceInfo {
  std::string name;
  int compute_capability = 0;  ///< 10 * major + minor, 90 for Hopper
  int multiprocessors = 0;
  std::int64_t memory_bytes = 0;
  std::int64_t l2_bytes = 0;
  int clock_khz = 0;         ///< peak clock of the multiprocessors
  int memory_clock_khz = 0;  ///< peak clock of the memory
  int driver_version = 0;    ///< 1000 * major + 10 * minor: the CUDA version the driver supports
  int runtime_version = 0;   ///< the same of the runtime
  int cublas_version = 0;    ///< 10000 * major + 100 * minor + patch
  int nccl_version = 0;      ///< as ncclGetVersion
};

/// Throws EnvironmentError without such a device.
[[nodiscard]] DeviceInfo device_info(int device);

/// Makes `device` the current one of the calling thread.
void use_device(int device);

}  // namespace moesim::gpu_ref
