// SPDX-License-Identifier: Apache-2.0
// A build without CUDA: there is nothing to measure with.
#include <stdexcept>

#include "gpu_ref/measure/layer_meter.hpp"
#include "gpu_ref/measure/measurement.hpp"

namespace moesim::measure {
namespace {

[[noreturn]] void refuse() {
  throw std::runtime_error(
      "no NVIDIA GPU that CUDA can use: this moesim was built without CUDA (see docs/gpu.md)");
}

}  // namespace

OpenBench open_bench(const BenchOptions& /*options*/) {
  refuse();
}

std::unique_ptr<LayerMeter> open_layer_meter() {
  refuse();
}

}  // namespace moesim::measure
