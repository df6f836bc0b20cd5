// SPDX-License-Identifier: Apache-2.0
// Time of the compute parts of a MoE layer on one rank: roofline with tile and wave quantisation.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/core/units.hpp"
#include "sim/moe/model.hpp"
#include "topology/cluster.hpp"

namespace moesim {

/// Where a constant came from, best first.
enum class Evidence { kMeasured, kInterpolated, kExtrapolated, kAssumed };
[[nodiscard]] std::string_view to_text(Evidence evidence);

/// Closed range of an input that the points of a fit covered.
struct Covered {
  double min = 0;
  double max = 0;
  [[nodiscard]] bool holds(double value) const { return value >= min && value <= max; }
};

/// How well predictions met measurements: |predicted / measured - 1| and, signed, its median.
struct FitErrors {
  int points = 0;
  double median = 0;
  double p90 = 0;
  double bias = 0;
};

/// [calibration.expert_fit], [calibration.communication_fit]: what the constants of one kernel rest
/// on. No points: nothing was fitted. Ranges that do not apply to the kernel stay 0.
struct FitRecord {
  std::string kernel;     ///< whose constants these are
  std::string source;     ///< whose measurements
  FitErrors fitted;       ///< on the points of the fit
  FitErrors left_out;     ///< on points that a refit without them predicted
  double spread_p10 = 1;  ///< of measured / predicted, left-out points
  double spread_p90 = 1;
  Covered rows;    ///< experts: rows of the rank; communication: bytes a rank sends in a phase
  Covered slots;   ///< experts: slots of the rank; communication: ranks
  Covered hidden;  ///< hidden size
  Covered width;   ///< experts: expert width; communication: scale-up domains
  std::vector<std::string> weight_dtypes;  ///< experts: of the weights, as model.weight_dtype

  [[nodiscard]] bool is_fitted() const { return fitted.points > 0; }
};

/// [calibration.dense_bf16], [calibration.dense_fp8]: GEMMs of attention, dense layers and head, by
/// the format of their weights. 0: as the experts' GEMMs.
struct DenseKernels {
  Seconds kernel_launch;
  double gemm_efficiency = 0;
  double memory_efficiency = 0;
  double gemm_overlap = 0;      ///< this and the following are looked at where the efficiency is
  double tile_fetch_share = 0;  ///< given
  int tile_rows = 0;
  int tile_columns = 0;

  bool operator==(const DenseKernels&) const = default;
};

/// [calibration.attention]: the core of attention, as parts of the bf16 peak and of the memory
/// bandwidth. 0: as the experts' GEMMs and other kernels.
struct AttentionKernels {
  double prefill_efficiency = 0;
  double backward_efficiency = 0;
  double decode_efficiency = 0;         ///< of multiplications, many heads a key
  double decode_memory_efficiency = 0;  ///< of reading the cache

  bool operator==(const AttentionKernels&) const = default;
};

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

  double gemm_overlap = 1;  ///< how well arithmetic and memory time hide each other: 1 wholly (the
                            ///< longer counts), 0 not at all (their sum), [0, 1]
  double tile_fetch_share = 1;  ///< share of a full tile's time that goes with the operands
                                ///< fetched, not with the multiplications, [0, 1]
  bool expert_gather = true;  ///< a kernel brings the rows into the experts' order; false where the
                              ///< dispatch leaves them so
  bool expert_return = false;   ///< kernels bring the rows into the order of the exchanges, before
                                ///< the combine and, where every assignment is a row, the dispatch
  Seconds expert_floor;         ///< the host issues the expert kernels no faster than this
  Seconds combine_extra_start;  ///< start of a combine kernel beyond communication_start
  Bytes message_overhead;       ///< link bytes a message costs beyond its own: half-size of
                                ///< the efficiency m / (m + message_overhead)
  BytesPerSecond sm_copy_rate;  ///< of one multiprocessor in a dispatch; 0: no bound
  BytesPerSecond combine_sm_copy_rate;  ///< the same in a combine
  bool combine_sums = false;         ///< the combine kernel sums the returned rows itself; else a
                                     ///< kernel of its own does
  std::string expert_kernel;         ///< whose table the experts' constants were taken from
  std::string communication_kernel;  ///< whose table those of dispatch and combine were
  FitRecord expert_fit;
  FitRecord communication_fit;
  DenseKernels dense_bf16;
  DenseKernels dense_fp8;
  AttentionKernels attention;
};

/// One rank's hardware and constants.
struct ComputeModel {
  GpuSpec gpu;
  CostConstants constants;
};

/// One grouped GEMM: for every group s, [rows[s], inner] x [inner, columns].
///   time    = (compute^p + memory^p)^(1/p) + kernel_launch, p = 1 / (1 - gemm_overlap): their sum
///             at 0, the longer one at 1; 0 when no group has rows
///   compute = min over tile shapes (r, c) of waves * full * share(r, c)
///   full    = R * C * inner * 2 / rate_per_sm, R = tile_rows, C = tile_columns
///   share   = (1 - f) * r c / (R C) + f * (r + c) / (R + C), f = tile_fetch_share
///   waves   = ceil(tiles / sms), tiles = sum over s of ceil(rows[s] / r) * ceil(columns / c)
///   memory  = (weight bytes of groups with rows + activation bytes read and written) /
///             (memory_bandwidth * memory_efficiency)
/// Tile shapes: r in {R, R/2, R/4, R/8}, c in {C, C/2, C/4}, as libraries choose per call. The part
/// f of a tile's time goes with the operands it fetches, the rest with its multiplications, so a
/// smaller tile is slower per flop by as much as fetching matters. rate_per_sm = peak
/// of the dtype * gemm_efficiency / sms: bf16 for bf16 and mxfp4 (dequantised) weights, fp8 for
/// fp8. Activations: fp8 with fp8 weights, else bf16, read once; results are bf16. Source: roofline
/// (Williams et al. 2009) with tile and wave quantisation (NVIDIA, Matrix Multiplication Background
/// User's Guide). Valid for: one kernel per call, no split along inner. fp32 weights have no GEMM
/// (our bug); fp8 on a GPU without fp8_rate is a UserError. Checked by: expert_cost_test.
[[nodiscard]] Seconds grouped_gemm_time(const ComputeModel& compute,
                                        std::span<const std::int64_t> rows,
                                        std::int64_t columns,
                                        std::int64_t inner,
                                        Dtype weight_dtype);

/// Routed experts of one rank from its per-slot token counts, four kernels one after the other, N =
/// sum of slot_tokens, w = expert_width; zero when N = 0:
///   gather   N rows of hidden: dispatch_dtype in, activation dtype out; with expert_gather only
///   gate+up  grouped GEMM, columns = 2 w (w without a gate: expert_gated), inner = hidden
///   SwiGLU   N rows of those columns in bf16, N rows of w in the activation dtype out
///   down     grouped GEMM, columns = hidden, inner = w
/// Gather and SwiGLU are memory-bound.
/// Memory-bound kernels take bytes / (memory_bandwidth * memory_efficiency) + kernel_launch. The
/// whole takes at least expert_floor, since kernels issued one by one leave no faster.
/// Source: the unfused expert FFN of Megatron-Core and SGLang. Valid for: that form; fused kernels
/// save up to three launches and the SwiGLU traffic; biases are not counted.
/// Checked by: expert_cost_test (hot expert, decode).
[[nodiscard]] Seconds expert_time(const ComputeModel& compute,
                                  const ModelShape& model,
                                  std::span<const std::int64_t> slot_tokens);

/// The first of those kernels, bringing N rows into the experts' order; zero without expert_gather
/// or rows. Checked by: expert_cost_test.
[[nodiscard]] Seconds expert_gather_time(const ComputeModel& compute,
                                         const ModelShape& model,
                                         std::int64_t rows);

/// Rows of tokens copied into the order of their destinations before a dispatch that sends one an
/// assignment: read and written in dispatch_dtype, one memory-bound kernel. Zero without rows.
/// Source: Megatron-Core's all-to-all token dispatcher. Checked by: expert_cost_test.
[[nodiscard]] Seconds dispatch_order_time(const ComputeModel& compute,
                                          const ModelShape& model,
                                          std::int64_t rows);

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
