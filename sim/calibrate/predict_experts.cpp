// SPDX-License-Identifier: Apache-2.0
#include "sim/calibrate/predict_experts.hpp"

#include <numeric>

namespace moesim::calibrate {

Seconds predict_experts(const ExpertWork& work, const CostConstants& constants) {
  const ComputeModel compute{work.gpu, constants};
  Seconds sum{};
  for (std::vector<std::int64_t> slots : work.loads) {
    for (std::int64_t& rows : slots) {
      rows = (rows + work.row_padding - 1) / work.row_padding * work.row_padding;
    }
    const std::int64_t rows = std::accumulate(slots.begin(), slots.end(), std::int64_t{0});
    sum = sum + expert_time(compute, work.model, slots) +
          combine_reduce_time(compute, work.model, rows, work.output_rows);
  }
  return sum / static_cast<double>(work.loads.size());
}

Seconds predict_gemm(const GemmWork& work, const CostConstants& constants) {
  return grouped_gemm_time(
      {work.gpu, constants}, work.rows, work.columns, work.inner, work.weights);
}

ModelShape operator_shape(int hidden, int width, int num_experts, int top_k, bool fp8) {
  ModelShape model;
  model.name = "published operator";
  model.hidden_size = hidden;
  model.expert_width = width;
  model.num_experts = num_experts;
  model.top_k = top_k;
  model.weight_dtype = fp8 ? Dtype::kFp8 : Dtype::kBf16;
  model.dispatch_dtype = model.weight_dtype;
  return model;
}

}  // namespace moesim::calibrate
