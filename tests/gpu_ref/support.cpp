// SPDX-License-Identifier: Apache-2.0
#include "tests/gpu_ref/support.hpp"

#include <cmath>
#include <numeric>

#include "sim/core/rng.hpp"

namespace moesim::gpu_ref::testing {
namespace {

constexpr std::uint64_t kSeed = 20261125;

template <typename T>
oracle::Matrix to_matrix(std::span<const T> values, std::int64_t columns) {
  oracle::Matrix out(static_cast<std::int64_t>(values.size()) / columns, columns);
  out.values = to_double(values);
  return out;
}

}  // namespace

std::vector<float> random_floats(std::size_t count, const std::string& name, float bound) {
  RngStream rng(kSeed, name);
  std::vector<float> values(count);
  for (float& value : values) {
    value = static_cast<float>(2.0 * rng.uniform01() - 1.0) * bound;
  }
  return values;
}

std::vector<Bf16> random_bf16(std::size_t count, const std::string& name, float bound) {
  return to_bf16(random_floats(count, name, bound));
}

oracle::Matrix matrix_of(std::span<const Bf16> values, std::int64_t columns) {
  return to_matrix(values, columns);
}

oracle::Matrix matrix_of(std::span<const float> values, std::int64_t columns) {
  return to_matrix(values, columns);
}

::testing::AssertionResult are_close(std::span<const double> actual,
                                     std::span<const double> expected,
                                     const Tolerance& tolerance) {
  if (actual.size() != expected.size()) {
    return ::testing::AssertionFailure()
           << actual.size() << " values instead of " << expected.size();
  }
  double error = 0;
  double size = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double off = std::fabs(actual[i] - expected[i]);
    error += off * off;
    size += expected[i] * expected[i];
    if (!(off <= tolerance.absolute + tolerance.relative * std::fabs(expected[i]))) {
      return ::testing::AssertionFailure()
             << "element " << i << " is " << actual[i] << ", expected " << expected[i];
    }
  }
  if (!(std::sqrt(error) <= tolerance.norm * std::sqrt(size))) {
    return ::testing::AssertionFailure()
           << "relative error in norm " << std::sqrt(error / size) << " > " << tolerance.norm;
  }
  return ::testing::AssertionSuccess();
}

std::vector<std::int32_t> random_experts(std::int64_t tokens,
                                         const LayerShape& shape,
                                         const std::string& name) {
  RngStream rng(kSeed, name);
  std::vector<std::int32_t> order(static_cast<std::size_t>(shape.num_experts));
  std::iota(order.begin(), order.end(), 0);
  std::vector<std::int32_t> experts;
  for (std::int64_t t = 0; t < tokens; ++t) {
    shuffle(std::span(order), rng);
    experts.insert(experts.end(), order.begin(), order.begin() + shape.top_k);
  }
  return experts;
}

}  // namespace moesim::gpu_ref::testing
