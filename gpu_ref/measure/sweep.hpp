// SPDX-License-Identifier: Apache-2.0
// The list of cases of a sweep, most valuable first.
#pragma once

#include <string>
#include <vector>

#include "gpu_ref/measure/case.hpp"
#include "gpu_ref/measure/loads.hpp"

namespace moesim::measure {

/// Sizes of a model's MoE layer.
struct SweepModel {
  std::string name{};
  std::int64_t hidden = 0;
  std::int64_t width = 0;
  std::int64_t experts = 0;
  std::int64_t top_k = 0;
};

/// DeepSeek-V3, DeepSeek-V2-Lite, Mixtral 8x7B, Qwen3-235B-A22B, Qwen3-30B-A3B, gpt-oss-120b.
/// Checked by: sweep_test, against scenarios/models.
[[nodiscard]] const std::vector<SweepModel>& sweep_models();

struct SweepOptions {
  bool full = false;                ///< the whole grid instead of the default selection
  std::vector<std::string> only{};  ///< kinds; empty: all
  TraceLoads trace{};               ///< recorded loads; may be empty
  int ranks = 1;                    ///< GPUs of collectives; fewer than 2: no collectives
  int processes = 1;
};

/// All cases, by tier and within a tier in a fixed order. Equal options, equal list; no key twice.
///   tier 0  device facts, copy rate, GEMM ceilings, launch cost, one layer of each model
///   tier 1  every kind on a coarse grid; collectives
///   tier 2  grouped GEMM: every number of experts, rows by powers of 4, skews, both types
///   tier 3  backward passes, layers by tokens, finer grids
///   tier 4  (full only) every power of 2 and every skew
/// Throws KitMistake for an unknown kind in `only`.
[[nodiscard]] std::vector<Case> make_sweep(const SweepOptions& options);

/// Sum of the estimates.
[[nodiscard]] double total_seconds(const std::vector<Case>& cases);

/// The kinds that --only takes.
[[nodiscard]] const std::vector<std::string>& sweep_kinds();

}  // namespace moesim::measure
