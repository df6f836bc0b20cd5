// SPDX-License-Identifier: Apache-2.0
#include "sim/step/stage_parts.hpp"

namespace moesim {

void add_pass(PassSums& sums, const PassResult& pass) {
  for (std::size_t i = 0; i < kNumWholeParts; ++i) {
    sums.parts[i] += pass.parts[i];
  }
  sums.busy += pass.makespan;
  sums.communication += pass.communication;
}

WholeParts mean_parts(const WholeParts& sums, int stages) {
  WholeParts mean{};
  std::int64_t before = 0;
  std::int64_t given = 0;
  for (std::size_t i = 0; i < kNumWholeParts; ++i) {
    before += sums[i].picoseconds;
    mean[i] = {before / stages - given};
    given = before / stages;
  }
  return mean;
}

}  // namespace moesim
