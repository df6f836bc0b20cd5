// SPDX-License-Identifier: Apache-2.0
// A build without CUDA: no GPU is ever attached.
#include "gpu_ref/device/devices.hpp"
#include "sim/core/diagnostics.hpp"

namespace moesim::gpu_ref {
namespace {

[[noreturn]] void refuse() {
  throw EnvironmentError("this moesim was built without CUDA");
}

}  // namespace

bool built_with_cuda() {
  return false;
}

int attached_gpus() {
  return 0;
}

DeviceInfo device_info(int /*device*/) {
  refuse();
}

void use_device(int /*device*/) {
  refuse();
}

}  // namespace moesim::gpu_ref
