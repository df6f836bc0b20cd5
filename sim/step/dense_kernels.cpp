// SPDX-License-Identifier: Apache-2.0
#include "sim/step/dense_kernels.hpp"

#include <span>

#include "sim/step/attention_cost.hpp"

namespace moesim {
namespace {

constexpr double kLossBytes = 2 + 4 + 4 + 4 + 2;  // of a logit, see cross_entropy_time

}  // namespace

ComputeModel dense_kernels(ComputeModel compute, Dtype weights) {
  CostConstants& c = compute.constants;
  const DenseKernels& d = weights == Dtype::kFp8 ? c.dense_fp8 : c.dense_bf16;
  if (d.kernel_launch.value > 0) {
    c.kernel_launch = d.kernel_launch;
  }
  if (d.memory_efficiency > 0) {
    c.memory_efficiency = d.memory_efficiency;
  }
  if (d.gemm_efficiency > 0) {
    c.gemm_efficiency = d.gemm_efficiency;
    c.gemm_overlap = d.gemm_overlap;
    c.tile_fetch_share = d.tile_fetch_share;
    c.tile_rows = d.tile_rows > 0 ? d.tile_rows : c.tile_rows;
    c.tile_columns = d.tile_columns > 0 ? d.tile_columns : c.tile_columns;
  }
  return compute;
}

Seconds memory_kernel(const ComputeModel& compute, double moved) {
  const ComputeModel c = dense_kernels(compute, Dtype::kBf16);
  return bytes(moved) / (c.gpu.memory_bandwidth * c.constants.memory_efficiency) +
         c.constants.kernel_launch;
}

Seconds norm_time(const ComputeModel& compute, const ModelShape& model, std::int64_t tokens) {
  return memory_kernel(compute, 4.0 * static_cast<double>(tokens) * model.hidden_size * kBf16Bytes);
}

Seconds dense_ffn_time(const ComputeModel& compute,
                       const ModelShape& model,
                       int tp,
                       std::int64_t tokens) {
  if (model.dense_width == 0) {
    return {};
  }
  ModelShape ffn = model;
  ffn.weight_dtype = model.dense_dtype;
  ffn.expert_gated = model.dense_gated;
  ffn.shared_experts = 1;
  ffn.shared_expert_width = (model.dense_width + tp - 1) / tp;
  return shared_expert_time(dense_kernels(compute, model.dense_dtype), ffn, tokens);
}

Seconds cross_entropy_time(const ComputeModel& compute,
                           const ModelShape& model,
                           int tp,
                           std::int64_t rows) {
  const double columns = (model.vocabulary + tp - 1) / tp;
  return memory_kernel(compute, kLossBytes * static_cast<double>(rows) * columns);
}

Seconds head_time(const ComputeModel& compute, const ModelShape& model, int tp, std::int64_t rows) {
  return norm_time(compute, model, rows) + grouped_gemm_time(dense_kernels(compute, Dtype::kBf16),
                                                             std::span(&rows, 1),
                                                             (model.vocabulary + tp - 1) / tp,
                                                             model.hidden_size,
                                                             Dtype::kBf16);
}

}  // namespace moesim
