// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/oracle/matrix.hpp"

#include <algorithm>
#include <cmath>

#include "sim/core/check.hpp"

namespace moesim::gpu_ref::oracle {
namespace {

float scale_of(float largest) {
  return largest > 0.0F ? largest / kLargestFp8 : 1.0F;
}

/// Sends the block of at most height x 128 at (row, column) through FP8.
void block_through_fp8(Matrix& a, std::int64_t row, std::int64_t column, std::int64_t height) {
  const std::int64_t bottom = std::min(row + height, a.rows);
  const std::int64_t right = std::min<std::int64_t>(column + kScaleBlock, a.columns);
  float largest = 0.0F;
  for (std::int64_t i = row; i < bottom; ++i) {
    for (std::int64_t j = column; j < right; ++j) {
      largest = std::max(largest, std::fabs(static_cast<float>(a.at(i, j))));
    }
  }
  const float scale = scale_of(largest);
  for (std::int64_t i = row; i < bottom; ++i) {
    for (std::int64_t j = column; j < right; ++j) {
      const Fp8 value = to_fp8(static_cast<float>(a.at(i, j)) / scale);
      a.at(i, j) = static_cast<double>(to_float(value)) * static_cast<double>(scale);
    }
  }
}

Matrix through_fp8(Matrix a, std::int64_t height) {
  for (std::int64_t i = 0; i < a.rows; i += height) {
    for (std::int64_t j = 0; j < a.columns; j += kScaleBlock) {
      block_through_fp8(a, i, j, height);
    }
  }
  return a;
}

}  // namespace

Matrix rows_of(const Matrix& a, std::int64_t begin, std::int64_t end) {
  Matrix part(end - begin, a.columns);
  const auto first = a.values.begin() + begin * a.columns;
  std::copy(first, first + (end - begin) * a.columns, part.values.begin());
  return part;
}

Matrix transposed(const Matrix& a) {
  Matrix out(a.columns, a.rows);
  for (std::int64_t i = 0; i < a.rows; ++i) {
    for (std::int64_t j = 0; j < a.columns; ++j) {
      out.at(j, i) = a.at(i, j);
    }
  }
  return out;
}

Matrix product(const Matrix& a, const Matrix& b) {
  return product_with_transposed(a, transposed(b));
}

Matrix product_with_transposed(const Matrix& a, const Matrix& b) {
  MOESIM_CHECK(a.columns == b.columns, "factors have the same inner size");
  Matrix out(a.rows, b.rows);
  for (std::int64_t i = 0; i < a.rows; ++i) {
    for (std::int64_t j = 0; j < b.rows; ++j) {
      const std::span<const double> x = a.row(i);
      const std::span<const double> y = b.row(j);
      double sum = 0;
      for (std::size_t l = 0; l < x.size(); ++l) {
        sum += x[l] * y[l];
      }
      out.at(i, j) = sum;
    }
  }
  return out;
}

void add_scaled(Matrix& sum, const Matrix& a, double scale) {
  MOESIM_CHECK(sum.rows == a.rows && sum.columns == a.columns, "terms have the same shape");
  for (std::size_t i = 0; i < sum.values.size(); ++i) {
    sum.values[i] += scale * a.values[i];
  }
}

Matrix through_fp8_rows(const Matrix& a) {
  return through_fp8(a, 1);
}

Matrix through_fp8_blocks(const Matrix& a) {
  return through_fp8(a, kScaleBlock);
}

QuantisedMatrix quantised_rows(std::span<const Bf16> values, int width) {
  MOESIM_CHECK(width > 0 && width % kScaleBlock == 0, "rows are whole blocks of 128");
  QuantisedMatrix out;
  for (std::size_t begin = 0; begin < values.size(); begin += kScaleBlock) {
    const std::span<const Bf16> block = values.subspan(begin, kScaleBlock);
    float largest = 0.0F;
    for (const Bf16 value : block) {
      largest = std::max(largest, std::fabs(to_float(value)));
    }
    const float scale = scale_of(largest);
    out.scales.push_back(scale);
    for (const Bf16 value : block) {
      out.values.push_back(to_fp8(to_float(value) / scale));
    }
  }
  return out;
}

}  // namespace moesim::gpu_ref::oracle
