// SPDX-License-Identifier: Apache-2.0
// What each op must move and compute: the numerators of achieved bandwidth and rate. Every input
// byte is read once and every output byte written once; caches and re-reads are the kernel's
// business.
#pragma once

#include <cstdint>
#include <span>

#include "gpu_ref/spec.hpp"
#include "sim/core/units.hpp"

namespace moesim::gpu_ref {

struct OpCost {
  Bytes bytes;
  Flops flops;

  bool operator==(const OpCost&) const = default;
};

[[nodiscard]] OpCost gate_cost(const LayerShape& shape, std::int64_t tokens);
[[nodiscard]] OpCost topk_cost(const LayerShape& shape, std::int64_t tokens);
/// count_assignments and place_assignments together.
[[nodiscard]] OpCost place_cost(const LayerShape& shape, std::int64_t tokens);
[[nodiscard]] OpCost spread_cost(const LayerShape& shape,
                                 std::int64_t tokens,
                                 std::int64_t rows,
                                 int row_bytes);
/// gather_rows or scatter_rows.
[[nodiscard]] OpCost gather_cost(std::int64_t rows, int row_bytes);
/// One grouped GEMM in bf16, any pass: row counts of the experts.
[[nodiscard]] OpCost grouped_gemm_cost(std::span<const std::int64_t> rows, int outer, int inner);
[[nodiscard]] OpCost fp8_gemm_cost(std::span<const std::int64_t> rows, int outer, int inner);
[[nodiscard]] OpCost swiglu_cost(std::int64_t rows, int width);
[[nodiscard]] OpCost swiglu_backward_cost(std::int64_t rows, int width);
[[nodiscard]] OpCost quantise_rows_cost(std::int64_t rows, int width);
/// rows: kept assignments; has_addend: a shared expert is added.
[[nodiscard]] OpCost combine_cost(const LayerShape& shape,
                                  std::int64_t tokens,
                                  std::int64_t rows,
                                  bool has_addend);
[[nodiscard]] OpCost combine_backward_cost(const LayerShape& shape,
                                           std::int64_t tokens,
                                           std::int64_t rows);

/// Time no implementation beats on a device that copies at `memory` (bytes read + written) and
/// multiplies at `compute`.
[[nodiscard]] Seconds roofline_time(const OpCost& cost,
                                    BytesPerSecond memory,
                                    FlopsPerSecond compute);

}  // namespace moesim::gpu_ref
