// SPDX-License-Identifier: Apache-2.0
// Random inputs and comparisons of the GPU reference's tests.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "gpu_ref/formats.hpp"
#include "gpu_ref/oracle/layer.hpp"
#include "gpu_ref/spec.hpp"

namespace moesim::gpu_ref::testing {

/// Uniform in [-bound, bound), named by what it is for.
std::vector<float> random_floats(std::size_t count, const std::string& name, float bound = 1.0F);
std::vector<Bf16> random_bf16(std::size_t count, const std::string& name, float bound = 1.0F);

/// Row-major values as a matrix of doubles.
oracle::Matrix matrix_of(std::span<const Bf16> values, std::int64_t columns);
oracle::Matrix matrix_of(std::span<const float> values, std::int64_t columns);

/// bf16 keeps 8 bits: one rounding is off by at most 2^-8 relative.
constexpr double kBf16Rounding = 1.0 / 256;

/// |a - b| <= absolute + relative |b| for every element, and |a - b| <= norm |b| over all (2-norm).
struct Tolerance {
  double absolute = 0;
  double relative = 0;
  double norm = 0;
};

::testing::AssertionResult are_close(std::span<const double> actual,
                                     std::span<const double> expected,
                                     const Tolerance& tolerance);

/// top_k distinct experts for every token, uniform.
std::vector<std::int32_t> random_experts(std::int64_t tokens,
                                         const LayerShape& shape,
                                         const std::string& name);

}  // namespace moesim::gpu_ref::testing
