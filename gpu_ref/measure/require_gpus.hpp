// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace moesim::measure {

/// How many GPUs are attached; throws std::runtime_error "no NVIDIA GPU that CUDA can use: ..."
/// with CUDA's own reason when there is none.
[[nodiscard]] int require_gpus();

}  // namespace moesim::measure
