// SPDX-License-Identifier: Apache-2.0
// How long measuring a case takes, from a roofline: only to plan a sweep, never in a result.
#pragma once

#include "gpu_ref/measure/case.hpp"

namespace moesim::measure {

/// Expected wall time of one case on one H200:
///   set-up + plan * launches + operand bytes / fill rate + (warm-up + samples) * (flush + wait +
///   operation + host) operation = max(flops / rate, bytes / bandwidth) + launches * start
/// with rates that a plain implementation reaches there (chosen low: half of the dense peak, 70 %
/// of the memory bandwidth; NVIDIA H200 datasheet). Checked by: sweep_test (the default sweep stays
/// under its budget).
[[nodiscard]] double estimate_seconds(const Case& c);

/// Time of one operation alone, as above.
[[nodiscard]] double estimate_operation_seconds(const CaseInput& input);

/// Kernels and library calls of one operation, at most.
[[nodiscard]] double launches_of(const CaseInput& input);

/// Device memory that measuring the case needs: operands, results, and weights in both types where
/// fp8 is made from bf16.
[[nodiscard]] double device_bytes(const CaseInput& input);

}  // namespace moesim::measure
