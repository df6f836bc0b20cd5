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
///   time    = max(compute, memory) + kernel_launch; 0 when no group has rows
///   compute = min over tile shapes (r, c) of
///             waves * r * c * inner * 2 / (rate_per_sm * reuse(r, c))
///   waves   = ceil(tiles / sms), tiles = sum over s of ceil(rows[s] / r) * ceil(columns / c)
///   reuse   = [r c / (r + c)] / [R C / (R + C)], R = tile_rows, C = tile_columns
///   memory  = (weight bytes of groups with rows + activation bytes read and written) /
///             (memory_bandwidth * memory_efficiency)
/// Tile shapes: r in {R, R/2}, c in {C, C/2, C/4}, as libraries choose per call. A smaller tile
/// fetches more operand bytes per flop, and its rate falls in that proportion. rate_per_sm = peak
/// of the dtype * gemm_efficiency / sms: bf16 for bf16 and mxfp4 (dequantised) weights, fp8 for
/// fp8. Activations: fp8 with fp8 weights, else bf16, read once; results are bf16. Source: roofline
/// (Williams et al. 2009) with tile and wave quantisation (NVIDIA, Matrix Multiplication Background
/// User's Guide). Valid for: one kernel per call, no split along inner, operands that overlap
/// perfectly with the arithmetic. fp32 weights have no GEMM (our bug); fp8 on a GPU without
/// fp8_rate is a UserError. Checked by: expert_cost_test.
[[nodiscard]] Seconds grouped_gemm_time(const ComputeModel& compute,
                                        std::span<const std::int64_t> rows,
                                        std::int64_t columns,
                                        std::int64_t inner,
                                        Dtype weight_dtype);

/// Routed experts of one rank from its per-slot token counts, four kernels one after the other, N =
/// sum of slot_tokens, w = expert_width; zero when N = 0:
///   gather   N rows of hidden, dispatch_dtype in, the experts' activation dtype out (memory-bound)
///   gate+up  grouped GEMM, columns = 2 w, inner = hidden
///   SwiGLU   N rows of 2 w bf16 in, N rows of w in the activation dtype out (memory-bound)
///   down     grouped GEMM, columns = hidden, inner = w
/// Memory-bound kernels take bytes / (memory_bandwidth * memory_efficiency) + kernel_launch.
/// Source: the unfused expert FFN of Megatron-Core and SGLang. Valid for: that form; fused kernels
/// save up to three launches and the SwiGLU traffic; biases are not counted.
/// Checked by: expert_cost_test (hot expert, decode).
[[nodiscard]] Seconds expert_time(const ComputeModel& compute,
                                  const ModelShape& model,
                                  std::span<const std::int64_t> slot_tokens);

/// Shared experts over the rank's own tokens: side by side they are one FFN of width
/// shared_experts * shared_expert_width, so gate+up GEMM, SwiGLU and down GEMM with one group; no
/// gather. Zero without shared experts or tokens. Checked by: expert_cost_test.
[[nodiscard]] Seconds shared_expert_time(const ComputeModel& compute,
                                         const ModelShape& model,
                                         std::int64_t tokens);

/// Gate: [tokens, hidden] x [hidden, num_experts] in bf16 whatever the experts' dtype, plus softmax
/// and top-k: one GEMM and one memory-bound kernel that reads the bf16 logits and writes top_k
/// times (4 B expert id + 4 B gate weight) a token. Zero without tokens. Checked by:
/// expert_cost_test.
[[nodiscard]] Seconds gate_time(const ComputeModel& compute,
                                const ModelShape& model,
                                std::int64_t tokens);

/// Weighted sum of the returned copies into [tokens, hidden]: reads `copies` rows of combine_dtype,
/// writes `tokens` bf16 rows, one memory-bound kernel. Zero without tokens. Checked by:
/// expert_cost_test.
[[nodiscard]] Seconds combine_reduce_time(const ComputeModel& compute,
                                          const ModelShape& model,
                                          std::int64_t copies,
                                          std::int64_t tokens);

}  // namespace moesim
