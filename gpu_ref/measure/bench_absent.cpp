// SPDX-License-Identifier: Apache-2.0
// A build without CUDA: there is nothing to measure with.
#include <stdexcept>

#include "gpu_ref/measure/measurement.hpp"

namespace moesim::measure {

OpenBench open_bench(const BenchOptions& /*options*/) {
  throw std::runtime_error(
      "this moesim was built without CUDA; it measures nothing (see docs/gpu.md)");
}

}  // namespace moesim::measure
