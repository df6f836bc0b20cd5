// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/op_costs.hpp"

#include <algorithm>

#include "gpu_ref/formats.hpp"

namespace moesim::gpu_ref {
namespace {

constexpr double kBf16Bytes = 2;
constexpr double kFloatBytes = 4;
constexpr double kScaleBytesPerElement = kFloatBytes / kScaleBlock;

double real(std::int64_t count) {
  return static_cast<double>(count);
}

struct Groups {
  double rows = 0;
  double busy = 0;
};

Groups groups_of(std::span<const std::int64_t> rows) {
  Groups groups;
  for (const std::int64_t count : rows) {
    groups.rows += real(count);
    groups.busy += count > 0 ? 1 : 0;
  }
  return groups;
}

}  // namespace

OpCost gate_cost(const LayerShape& shape, std::int64_t tokens) {
  const double t = real(tokens);
  const double h = shape.hidden;
  const double e = shape.num_experts;
  return {bytes(kBf16Bytes * (t * h + e * h) + kFloatBytes * t * e), flops(2 * t * h * e)};
}

OpCost topk_cost(const LayerShape& shape, std::int64_t tokens) {
  const double per_token = 3.0 * shape.num_experts + 2.0 * shape.top_k + 1.0;
  return {bytes(kFloatBytes * real(tokens) * per_token), flops(0)};
}

OpCost place_cost(const LayerShape& shape, std::int64_t tokens) {
  constexpr std::int64_t kChunk = 1024;
  const std::int64_t assignments = tokens * shape.top_k;
  const std::int64_t chunks = (assignments + kChunk - 1) / kChunk;
  // Counting reads the experts and writes a count a chunk, the scan reads and writes those, placing
  // reads both and writes a row an assignment; counts, quotas and first rows once.
  return {bytes(kFloatBytes * (3.0 * real(assignments) + 4.0 * real(chunks) * shape.num_experts +
                               3.0 * shape.num_experts)),
          flops(0)};
}

OpCost spread_cost(const LayerShape& shape, std::int64_t tokens, std::int64_t rows, int row_bytes) {
  return {bytes(real(tokens + rows) * row_bytes + kFloatBytes * real(tokens) * shape.top_k),
          flops(0)};
}

OpCost gather_cost(std::int64_t rows, int row_bytes) {
  return {bytes(real(rows) * (2.0 * row_bytes + kFloatBytes)), flops(0)};
}

OpCost grouped_gemm_cost(std::span<const std::int64_t> rows, int outer, int inner) {
  const Groups groups = groups_of(rows);
  return {bytes(kBf16Bytes *
                (groups.rows * (inner + outer) + groups.busy * static_cast<double>(outer) * inner)),
          flops(2.0 * groups.rows * outer * inner)};
}

OpCost fp8_gemm_cost(std::span<const std::int64_t> rows, int outer, int inner) {
  const Groups groups = groups_of(rows);
  const double row = inner * (1 + kScaleBytesPerElement) + kBf16Bytes * outer;
  const double weight =
      static_cast<double>(outer) * inner * (1 + kScaleBytesPerElement / kScaleBlock);
  return {bytes(groups.rows * row + groups.busy * weight),
          flops(2.0 * groups.rows * outer * inner)};
}

OpCost swiglu_cost(std::int64_t rows, int width) {
  return {bytes(kBf16Bytes * 3.0 * real(rows) * width), flops(0)};
}

OpCost swiglu_backward_cost(std::int64_t rows, int width) {
  return {bytes(kBf16Bytes * 5.0 * real(rows) * width), flops(0)};
}

OpCost quantise_rows_cost(std::int64_t rows, int width) {
  return {bytes(real(rows) * width * (kBf16Bytes + 1 + kScaleBytesPerElement)), flops(0)};
}

OpCost combine_cost(const LayerShape& shape,
                    std::int64_t tokens,
                    std::int64_t rows,
                    bool has_addend) {
  const double row_count = real(rows) + real(tokens) * (has_addend ? 2.0 : 1.0);
  return {
      bytes(kBf16Bytes * row_count * shape.hidden + 2.0 * kFloatBytes * real(tokens) * shape.top_k),
      flops(2.0 * real(rows) * shape.hidden)};
}

OpCost combine_backward_cost(const LayerShape& shape, std::int64_t tokens, std::int64_t rows) {
  return {bytes(kBf16Bytes * (real(tokens) + 2.0 * real(rows)) * shape.hidden +
                3.0 * kFloatBytes * real(tokens) * shape.top_k),
          flops(3.0 * real(rows) * shape.hidden)};
}

Seconds roofline_time(const OpCost& cost, BytesPerSecond memory, FlopsPerSecond compute) {
  return std::max(cost.bytes / memory, cost.flops / compute);
}

}  // namespace moesim::gpu_ref
