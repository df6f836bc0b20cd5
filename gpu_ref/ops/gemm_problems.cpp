// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/ops/gemm_problems.hpp"

#include <limits>
#include <stdexcept>
#include <string>

namespace moesim::gpu_ref {
namespace {

constexpr int kBlasAlignment = 8;  ///< bf16 elements in 16 bytes

void check_width(int width, const char* name) {
  if (width < kBlasAlignment || width % kBlasAlignment != 0) {
    throw std::invalid_argument(std::string("grouped_problems: ") + name +
                                " is not a positive multiple of 8");
  }
}

}  // namespace

// A row-major [r, c] matrix is a column-major [c, r] one with leading dimension c. So
//   Y = X W^T  row-major  is  Y' = W'^T X'  column-major: m = outer, n = rows, k = inner;
//   dX = dY W             is  dX' = W' dY':               m = inner, n = rows, k = outer;
//   dW = dY^T X           is  dW' = X' dY'^T:             m = inner, n = outer, k = rows.
GemmProblem single_problem(GemmPass pass, const GroupedShape& shape, std::size_t group) {
  const std::int64_t first = shape.row_begin[group];
  const std::int64_t count = shape.row_begin[group + 1] - first;
  if (count < 0 || count > std::numeric_limits<std::int32_t>::max()) {
    throw std::invalid_argument("grouped_problems: a group has less than no or over 2^31 - 1 rows");
  }
  const auto rows = static_cast<int>(count);
  const std::int64_t weight = static_cast<std::int64_t>(group) * shape.outer * shape.inner;
  const std::int64_t x = first * shape.inner;
  const std::int64_t y = first * shape.outer;
  const int outer = shape.outer;
  const int inner = shape.inner;
  switch (pass) {
    case GemmPass::kForward:
      return {true, false, outer, rows, inner, inner, inner, outer, weight, x, y};
    case GemmPass::kInputGradient:
      return {false, false, inner, rows, outer, inner, outer, inner, weight, y, x};
    case GemmPass::kWeightGradient:
      return {false, true, inner, outer, rows, inner, outer, inner, x, y, weight};
  }
  throw std::invalid_argument("grouped_problems: unknown pass");
}

std::vector<GemmProblem> grouped_problems(GemmPass pass, const GroupedShape& shape) {
  check_width(shape.outer, "outer");
  check_width(shape.inner, "inner");
  std::vector<GemmProblem> problems;
  for (std::size_t group = 0; group + 1 < shape.row_begin.size(); ++group) {
    const GemmProblem problem = single_problem(pass, shape, group);
    if (shape.row_begin[group + 1] > shape.row_begin[group]) {
      problems.push_back(problem);
    }
  }
  return problems;
}

std::vector<int> empty_groups(std::span<const std::int64_t> row_begin) {
  std::vector<int> empty;
  for (std::size_t group = 0; group + 1 < row_begin.size(); ++group) {
    if (row_begin[group + 1] == row_begin[group]) {
      empty.push_back(static_cast<int>(group));
    }
  }
  return empty;
}

std::vector<std::int64_t> begins_of_counts(std::span<const std::int64_t> counts) {
  std::vector<std::int64_t> begins(counts.size() + 1);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    begins[i + 1] = begins[i] + counts[i];
  }
  return begins;
}

}  // namespace moesim::gpu_ref
