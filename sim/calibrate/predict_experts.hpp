// SPDX-License-Identifier: Apache-2.0
// One measured expert operator, predicted by the cost models that a step uses.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/calibrate/point.hpp"
#include "sim/moe/model.hpp"
#include "topology/cluster.hpp"

namespace moesim::calibrate {

/// What the operator computes. The timed operator is
///   expert_time(slot_tokens) + combine_reduce_time(rows computed, output_rows),
/// with each slot's rows first rounded up to a multiple of row_padding where the kernel computes
/// padding rows; the mean over `loads` where the benchmark timed several.
struct ExpertWork {
  GpuSpec gpu;
  ModelShape model;
  std::vector<std::vector<std::int64_t>> loads;  ///< rows of each slot, one load or more
  Dtype input = Dtype::kFp8;     ///< of the rows that come in, where the model is made from a row
  std::int64_t output_rows = 0;  ///< 0: the operator stops at the experts' rows
  std::int64_t row_padding = 1;
};

[[nodiscard]] Seconds predict_experts(const ExpertWork& work, const CostConstants& constants);

/// One dense GEMM [m, inner] x [inner, columns].
struct GemmWork {
  GpuSpec gpu;
  std::vector<std::int64_t> rows;  ///< of each group; one group: dense
  std::int64_t columns = 0;
  std::int64_t inner = 0;
  Dtype weights = Dtype::kBf16;
};
[[nodiscard]] Seconds predict_gemm(const GemmWork& work, const CostConstants& constants);

/// A DeepSeek-like model for published rows: hidden, width, experts, top_k; bf16 or fp8 weights and
/// dispatch, bf16 combine.
[[nodiscard]] ModelShape operator_shape(
    int hidden, int width, int num_experts, int top_k, bool fp8);

}  // namespace moesim::calibrate
