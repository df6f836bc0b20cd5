// SPDX-License-Identifier: Apache-2.0
// Time of the compute parts of a MoE layer on one rank: roofline with tile and wave quantisation.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "sim/core/units.hpp"
#include "sim/moe/model.hpp"
#include "topology/cluster.hpp"

namespace moesim {

/// Where a constant came from, best first.
enum class Evidence { kMeasured, kInterpolated, kExtrapolated, kAssumed };
[[nodiscard]] std::string_view to_text(Evidence evidence);

/// [calibration]: the constants of the cost models, from a file of scenarios/calibration.
struct CostConstants {
  std::string source;  ///< who measured or assumed them
  Evidence evidence = Evidence::kAssumed;
  Seconds kernel_launch;           ///< start of one compute kernel
  double gemm_efficiency = 0;      ///< reachable fraction of the dense peak on full tiles, (0, 1]
  int tile_rows = 0;               ///< rows (tokens) of one GEMM tile
  int tile_columns = 0;            ///< columns of one GEMM tile
  double memory_efficiency = 0;    ///< reachable fraction of the nominal memory bandwidth, (0, 1]
  double scale_up_efficiency = 0;  ///< reachable fraction of the nominal scale-up bandwidth, (0, 1]
  double scale_out_efficiency =
      0;  ///< reachable fraction of the nominal NIC and fabric bandwidth, (0, 1]
  Seconds communication_start;  ///< start of one dispatch or combine kernel
  Seconds message_gap;  ///< sender time per message; messages of one rank leave one after the other
};

/// One rank's hardware and constants.
struct ComputeModel {
  GpuSpec gpu;
  CostConstants constants;
};

/// One grouped GEMM: for every group s, [rows[s], inner] x [inner, columns].
///   tiles   = sum over s of ceil(rows[s] / tile_rows) * ceil(columns / tile_columns)
///   compute = ceil(tiles / sms) * sms * tile_rows * tile_columns * inner * 2 / (rate *
///   gemm_efficiency) memory  = (weight bytes of groups with rows + activation bytes read and
///   written) / (bandwidth * memory_efficiency) time    = max(compute, memory) + kernel_launch; 0
///   when no group has rows
/// Source: roofline (Williams et al. 2009) with tile and wave quantisation (NVIDIA, Matrix
/// Multiplication Background User's Guide). Valid for: one kernel per stage, no split along inner;
/// small-batch latency effects are not in it. Checked by: expert_cost_test.
[[nodiscard]] Seconds grouped_gemm_time(const ComputeModel& compute,
                                        std::span<const std::int64_t> rows,
                                        std::int64_t columns,
                                        std::int64_t inner,
                                        Dtype weight_dtype);

/// Routed experts of one rank from its per-slot token counts: gather of the received rows, gate+up
/// GEMM, SwiGLU, down GEMM. Zero when the rank has no tokens.
[[nodiscard]] Seconds expert_time(const ComputeModel& compute,
                                  const ModelShape& model,
                                  std::span<const std::int64_t> slot_tokens);

/// Shared experts over the rank's own tokens, one group. Zero without shared experts.
[[nodiscard]] Seconds shared_expert_time(const ComputeModel& compute,
                                         const ModelShape& model,
                                         std::int64_t tokens);

/// Gate: [tokens, hidden] x [hidden, num_experts] plus softmax and top-k, one GEMM and one
/// memory-bound kernel.
[[nodiscard]] Seconds gate_time(const ComputeModel& compute,
                                const ModelShape& model,
                                std::int64_t tokens);

/// Weighted sum of the returned copies into [tokens, hidden]: reads `copies` rows, writes `tokens`
/// rows, memory-bound.
[[nodiscard]] Seconds combine_reduce_time(const ComputeModel& compute,
                                          const ModelShape& model,
                                          std::int64_t copies,
                                          std::int64_t tokens);

}  // namespace moesim
