// SPDX-License-Identifier: Apache-2.0
// Row-major matrices of doubles and their products, in plain loops: what the CUDA layer is compared
// with.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "gpu_ref/formats.hpp"

namespace moesim::gpu_ref::oracle {

struct Matrix {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::vector<double> values;

  Matrix() = default;
  Matrix(std::int64_t row_count, std::int64_t column_count)
      : rows(row_count),
        columns(column_count),
        values(static_cast<std::size_t>(row_count * column_count)) {}

  [[nodiscard]] double& at(std::int64_t row, std::int64_t column) {
    return values[static_cast<std::size_t>(row * columns + column)];
  }
  [[nodiscard]] double at(std::int64_t row, std::int64_t column) const {
    return values[static_cast<std::size_t>(row * columns + column)];
  }
  [[nodiscard]] std::span<const double> row(std::int64_t r) const {
    return std::span(values).subspan(static_cast<std::size_t>(r * columns),
                                     static_cast<std::size_t>(columns));
  }
};

/// Rows [begin, end) of a.
[[nodiscard]] Matrix rows_of(const Matrix& a, std::int64_t begin, std::int64_t end);
[[nodiscard]] Matrix transposed(const Matrix& a);
/// a b
[[nodiscard]] Matrix product(const Matrix& a, const Matrix& b);
/// a b^T
[[nodiscard]] Matrix product_with_transposed(const Matrix& a, const Matrix& b);
/// sum += scale * a
void add_scaled(Matrix& sum, const Matrix& a, double scale);

/// Values after a trip through FP8: every block of 128 of a row under its own scale (the last block
/// of a row may be shorter), as quantise_rows makes them.
[[nodiscard]] Matrix through_fp8_rows(const Matrix& a);
/// The same with one scale for every 128 x 128 block, as quantise_weights makes them.
[[nodiscard]] Matrix through_fp8_blocks(const Matrix& a);

/// FP8 values and scales of rows of bf16, bit by bit what quantise_rows writes.
struct QuantisedMatrix {
  std::vector<Fp8> values;
  std::vector<float> scales;
};
[[nodiscard]] QuantisedMatrix quantised_rows(std::span<const Bf16> values, int width);

}  // namespace moesim::gpu_ref::oracle
