// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/measure/case.hpp"

#include <algorithm>
#include <numeric>

namespace moesim::measure {
namespace {

constexpr double kBf16Bytes = 2;
constexpr double kChoiceBytes = 8;  ///< 4 B expert id + 4 B gate weight
constexpr double kIndexBytes = 4;
constexpr std::int64_t kScaleBlock = 128;  ///< fp8 activations: one fp32 scale a block of a row

double element_bytes(ElementType type) {
  return type == ElementType::kBf16 ? kBf16Bytes : 1;
}

double multiply_adds(double rows, double columns, double inner) {
  return 2 * rows * columns * inner;
}

Work rows_work(const RowsInput& r) {
  const double tokens = real(r.tokens);
  const double width = real(r.width);
  const double row = width * kBf16Bytes;
  const double assignments = tokens * real(r.top_k);
  switch (r.op) {
    case RowOp::kGate:
      return {.flops = multiply_adds(tokens, real(r.experts), width),
              .bytes = (tokens + real(r.experts)) * row + assignments * kChoiceBytes};
    case RowOp::kPermute:
      return {.flops = std::nullopt,
              .bytes = (tokens + assignments) * row + assignments * kIndexBytes};
    case RowOp::kCombine:
      return {.flops = multiply_adds(assignments, width, 1),
              .bytes = assignments * (row + kChoiceBytes) + tokens * row};
    case RowOp::kQuantise: {
      const double scales = real((r.width + kScaleBlock - 1) / kScaleBlock) * 4;
      return {.flops = std::nullopt, .bytes = tokens * (row + width + scales)};
    }
    case RowOp::kActivation:
      break;
  }
  return {.flops = std::nullopt, .bytes = tokens * 3 * row};
}

/// Rows in, rows out, weights of busy experts; each at the type it has in memory.
Work grouped_work(const GroupedInput& g) {
  const double rows = real(rows_of(g.counts));
  const double weights = real(busy_experts(g.counts)) * real(g.columns) * real(g.inner);
  const double element = element_bytes(g.type);
  const double flops = multiply_adds(rows, real(g.columns), real(g.inner));
  if (g.pass == Pass::kBackwardWeight) {
    return {.flops = flops,
            .bytes = rows * (real(g.columns) + real(g.inner)) * kBf16Bytes + weights * kBf16Bytes};
  }
  const bool forward = g.pass == Pass::kForward;
  const double in = forward ? real(g.inner) : real(g.columns);
  const double out = forward ? real(g.columns) : real(g.inner);
  return {.flops = flops, .bytes = rows * (in * element + out * kBf16Bytes) + weights * element};
}

/// Gate and the three products of every expert row; a backward pass has two products for each.
Work layer_work(const LayerInput& l) {
  const double gate = multiply_adds(
      real(l.tokens), real(static_cast<std::int64_t>(l.counts.size())), real(l.hidden));
  const double experts = 3 * multiply_adds(real(rows_of(l.counts)), real(l.width), real(l.hidden));
  return {.flops = (gate + experts) * (l.backward ? 2 : 1), .bytes = std::nullopt};
}

struct WorkOf {
  Work operator()(const DeviceInput& /*input*/) const { return {}; }
  Work operator()(const CopyInput& c) const {
    return {.flops = std::nullopt, .bytes = 2 * real(c.bytes)};
  }
  Work operator()(const GemmInput& g) const {
    const double operands =
        (real(g.rows) + real(g.columns)) * real(g.inner) * element_bytes(g.type);
    return {.flops = multiply_adds(real(g.rows), real(g.columns), real(g.inner)),
            .bytes = operands + real(g.rows) * real(g.columns) * kBf16Bytes};
  }
  Work operator()(const LaunchInput& /*input*/) const { return {}; }
  Work operator()(const RowsInput& r) const { return rows_work(r); }
  Work operator()(const GroupedInput& g) const { return grouped_work(g); }
  Work operator()(const LayerInput& l) const { return layer_work(l); }
  Work operator()(const CollectiveInput& c) const {
    return {.flops = std::nullopt, .bytes = real(c.bytes)};
  }
};

}  // namespace

Work work_of(const CaseInput& input) {
  return std::visit(WorkOf{}, input);
}

std::int64_t rows_of(const std::vector<std::int64_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
}

std::int64_t busy_experts(const std::vector<std::int64_t>& counts) {
  return std::count_if(counts.begin(), counts.end(), [](std::int64_t c) { return c > 0; });
}

}  // namespace moesim::measure
