// SPDX-License-Identifier: Apache-2.0
// gpu_fill.hpp where the device is the CPU: random operands by a plain loop, waits that do nothing.
#include <random>

#include "gpu_ref/measure/gpu_fill.hpp"

namespace moesim::measure {

void fill_random(gpu_ref::Bf16* values,
                 std::int64_t count,
                 float scale,
                 std::uint64_t seed,
                 gpu_ref::StreamHandle /*stream*/) {
  std::minstd_rand random(static_cast<unsigned>(seed + 1));
  std::normal_distribution<float> normal(0, scale);
  for (std::int64_t i = 0; i < count; ++i) {
    values[i] = gpu_ref::to_bf16(normal(random));
  }
}

void fill_random(float* values,
                 std::int64_t count,
                 std::uint64_t seed,
                 gpu_ref::StreamHandle /*stream*/) {
  std::minstd_rand random(static_cast<unsigned>(seed + 1));
  std::uniform_real_distribution<float> uniform(0, 1);
  for (std::int64_t i = 0; i < count; ++i) {
    values[i] = uniform(random);
  }
}

void hold(double /*seconds*/, gpu_ref::StreamHandle /*stream*/) {}

void launch_empty(gpu_ref::StreamHandle /*stream*/) {}

}  // namespace moesim::measure
