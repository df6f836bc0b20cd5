// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/expert_cost.hpp"

#include <algorithm>
#include <numeric>

#include "sim/core/check.hpp"
#include "sim/moe/expert_timer.hpp"
#include "sim/moe/gemm_parts.hpp"

namespace moesim {
namespace {

constexpr std::int64_t kGateBytesPerChoice = 8;  // 4 B expert id + 4 B gate weight

}  // namespace

std::string_view to_text(Evidence evidence) {
  switch (evidence) {
    case Evidence::kMeasured:
      return "measured";
    case Evidence::kInterpolated:
      return "interpolated";
    case Evidence::kExtrapolated:
      return "extrapolated";
    case Evidence::kAssumed:
      return "assumed";
  }
  MOESIM_CHECK(false, "unknown evidence");
}

Seconds grouped_gemm_time(const ComputeModel& compute,
                          std::span<const std::int64_t> rows,
                          std::int64_t columns,
                          std::int64_t inner,
                          Dtype weight_dtype) {
  if (std::all_of(rows.begin(), rows.end(), [](std::int64_t n) { return n == 0; })) {
    return {};
  }
  const GemmShape shape{.columns = columns, .inner = inner, .weights = weight_dtype};
  return GroupedGemm(compute, shape).time(count_rows(tile_heights(compute.constants), rows));
}

Seconds expert_time(const ComputeModel& compute,
                    const ModelShape& model,
                    std::span<const std::int64_t> slot_tokens) {
  if (std::accumulate(slot_tokens.begin(), slot_tokens.end(), std::int64_t{0}) == 0) {
    return {};
  }
  return ExpertTimer(compute, model).time(slot_tokens);
}

Seconds expert_gather_time(const ComputeModel& compute,
                           const ModelShape& model,
                           std::int64_t rows) {
  if (rows == 0 || !compute.constants.expert_gather) {
    return {};
  }
  return MemoryKernel(compute).time(gather_bytes(static_cast<double>(rows), model));
}

Seconds dispatch_order_time(const ComputeModel& compute,
                            const ModelShape& model,
                            std::int64_t rows) {
  if (rows == 0) {
    return {};
  }
  return MemoryKernel(compute).time(
      2.0 * rows_bytes(static_cast<double>(rows), model.hidden_size, model.dispatch_dtype));
}

Seconds shared_expert_time(const ComputeModel& compute,
                           const ModelShape& model,
                           std::int64_t tokens) {
  if (tokens == 0 || model.shared_experts == 0) {
    return {};
  }
  const std::int64_t width = std::int64_t{model.shared_experts} * model.shared_expert_width;
  return GroupedFfn(compute, model, width).time(std::span(&tokens, 1));
}

Seconds gate_time(const ComputeModel& compute, const ModelShape& model, std::int64_t tokens) {
  if (tokens == 0) {
    return {};
  }
  const Bytes choice =
      rows_bytes(static_cast<double>(tokens), model.num_experts, Dtype::kBf16) +
      bytes(static_cast<double>(tokens) * static_cast<double>(model.top_k * kGateBytesPerChoice));
  return grouped_gemm_time(
             compute, std::span(&tokens, 1), model.num_experts, model.hidden_size, Dtype::kBf16) +
         MemoryKernel(compute).time(choice);
}

Seconds combine_reduce_time(const ComputeModel& compute,
                            const ModelShape& model,
                            std::int64_t copies,
                            std::int64_t tokens) {
  MOESIM_CHECK(copies >= 0 && tokens >= 0, "no negative number of rows");
  if (tokens == 0) {
    return {};
  }
  return MemoryKernel(compute).time(
      rows_bytes(static_cast<double>(copies), model.hidden_size, model.combine_dtype) +
      rows_bytes(static_cast<double>(tokens), model.hidden_size, Dtype::kBf16));
}

}  // namespace moesim
