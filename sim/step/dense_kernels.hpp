// SPDX-License-Identifier: Apache-2.0
// Kernels of a whole model that are none of its experts'; used by the costs of attention, dense
// layers and head only.
#pragma once

#include <cstdint>

#include "sim/moe/expert_cost.hpp"

namespace moesim {

/// `compute` with the constants of GEMMs outside the experts.
[[nodiscard]] ComputeModel dense_kernels(ComputeModel compute, Dtype weights);

/// A kernel that moves so many bytes and does nothing else.
[[nodiscard]] Seconds memory_kernel(const ComputeModel& compute, double moved);

/// Residual and row, read and written.
[[nodiscard]] Seconds norm_time(const ComputeModel& compute,
                                const ModelShape& model,
                                std::int64_t tokens);

}  // namespace moesim
