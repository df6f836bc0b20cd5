// SPDX-License-Identifier: Apache-2.0
// Grouped GEMMs as plain values: which matrices an expert multiplies, in BLAS terms. No CUDA here:
// what is handed to cuBLAS is tested on the CPU.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace moesim::gpu_ref {

/// C = op(A) op(B), column-major as BLAS has it: op(A) [m, k], op(B) [k, n], C [m, n].
struct GemmProblem {
  bool transpose_a = false;
  bool transpose_b = false;
  int m = 0;
  int n = 0;
  int k = 0;
  int lda = 0;
  int ldb = 0;
  int ldc = 0;
  std::int64_t a_begin = 0;  ///< elements from the base of A
  std::int64_t b_begin = 0;
  std::int64_t c_begin = 0;

  bool operator==(const GemmProblem&) const = default;
};

/// Which product, row-major: X [rows, inner] activations, W [outer, inner] a weight, Y [rows,
/// outer].
enum class GemmPass {
  kForward,         ///< Y = X W^T   (A = W, B = X, C = Y)
  kInputGradient,   ///< dX = dY W   (A = W, B = dY, C = dX)
  kWeightGradient,  ///< dW = dY^T X (A = X, B = dY, C = dW)
};

/// Expert e has rows [row_begin[e], row_begin[e + 1]) of X and Y, and the e-th [outer, inner] of W.
struct GroupedShape {
  std::span<const std::int64_t> row_begin;  ///< [groups + 1]
  int outer = 0;
  int inner = 0;
};

/// One problem for every expert with rows, in order. Experts without rows have none: their weight
/// gradients must be zeroed apart (empty_groups).
/// Throws std::invalid_argument when outer or inner is not a positive multiple of 8 (16-byte rows
/// in bf16) or a group is too long for 32-bit BLAS. Checked by: gemm_problems_test, which carries
/// the problems out on the CPU.
[[nodiscard]] std::vector<GemmProblem> grouped_problems(GemmPass pass, const GroupedShape& shape);

/// The problem of one group, without the limits of grouped_problems on outer and inner.
[[nodiscard]] GemmProblem single_problem(GemmPass pass,
                                         const GroupedShape& shape,
                                         std::size_t group);

/// Experts without rows.
[[nodiscard]] std::vector<int> empty_groups(std::span<const std::int64_t> row_begin);

/// [groups + 1] from counts [groups].
[[nodiscard]] std::vector<std::int64_t> begins_of_counts(std::span<const std::int64_t> counts);

}  // namespace moesim::gpu_ref
