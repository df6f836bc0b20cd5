// SPDX-License-Identifier: Apache-2.0
// The kinds that need one GPU and no whole layer; each sets its operands up, then samples.
#pragma once

#include "gpu_ref/device/blas.hpp"
#include "gpu_ref/measure/case.hpp"
#include "gpu_ref/measure/gpu_timer.hpp"

namespace moesim::measure {

/// What a bench works with.
struct BenchTools {
  GpuTimer& timer;
  gpu_ref::Blas& blas;  ///< on the timer's stream
};

/// How a case is to be sampled.
struct Sampling {
  L2State l2 = L2State::kCold;
  StopRule rule{};
};

// basic_benches.cpp
[[nodiscard]] Timing bench(const CopyInput& input, BenchTools tools, const Sampling& sampling);
[[nodiscard]] Timing bench(const LaunchInput& input, BenchTools tools, const Sampling& sampling);
// gemm_benches.cpp
[[nodiscard]] Timing bench(const GemmInput& input, BenchTools tools, const Sampling& sampling);
[[nodiscard]] Timing bench(const GroupedInput& input, BenchTools tools, const Sampling& sampling);
// row_benches.cpp
[[nodiscard]] Timing bench(const RowsInput& input, BenchTools tools, const Sampling& sampling);

}  // namespace moesim::measure
