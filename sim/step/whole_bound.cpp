// SPDX-License-Identifier: Apache-2.0
#include "sim/step/whole_bound.hpp"

#include <algorithm>

#include "sim/step/attention_cost.hpp"

namespace moesim {
namespace {

constexpr double kClockRounding = 1e-6;
constexpr double kFlopsPerMultiplyAdd = 2;

struct LayerCount {
  int moe = 0;
  int dense = 0;
};

LayerCount count_layers(const ModelShape& model) {
  LayerCount count;
  for (int layer = 0; layer < model.layers; ++layer) {
    ++(is_moe_layer(model, layer) ? count.moe : count.dense);
  }
  return count;
}

Seconds memory_time(const ComputeModel& compute, double moved) {
  return bytes(moved) / (compute.gpu.memory_bandwidth * compute.constants.memory_efficiency);
}

/// One grouped GEMM of `rows` rows in all, with the weights of `groups` groups; no launch.
Seconds least_gemm(
    const WholeShape& s, double rows, double groups, std::int64_t columns, std::int64_t inner) {
  const Dtype weights = s.model.weight_dtype;
  const bool fp8 = weights == Dtype::kFp8;
  const FlopsPerSecond rate = fp8 ? s.compute.gpu.fp8_rate : s.compute.gpu.bf16_rate;
  const Flops work = flops(rows * static_cast<double>(columns) * static_cast<double>(inner) *
                           kFlopsPerMultiplyAdd);
  const double in = static_cast<double>(activation_row_bytes(inner, fp8 ? weights : Dtype::kBf16));
  const double out = static_cast<double>(activation_row_bytes(columns, Dtype::kBf16));
  const double held =
      static_cast<double>(columns) * static_cast<double>(inner) * stored_bytes_per_weight(weights);
  return std::max(work / (rate * s.compute.constants.gemm_efficiency),
                  memory_time(s.compute, groups * held + rows * (in + out)));
}

/// The routed experts of an average rank.
Seconds least_routed(const WholeShape& s) {
  if (!s.dropless) {
    return {};
  }
  const double rows = static_cast<double>(s.batch.tokens_per_rank) * s.model.top_k;
  const double groups = static_cast<double>(s.model.top_k) / s.parallel.ep;
  const std::int64_t width = s.model.expert_width;
  const std::int64_t columns = (s.model.expert_gated ? 2 : 1) * width;
  return least_gemm(s, rows, groups, columns, s.model.hidden_size) +
         least_gemm(s, rows, groups, s.model.hidden_size, width);
}

/// Attention, dense layers and head of every rank.
Seconds common_parts(const WholeShape& s) {
  const AttentionLoad load = attention_load(s.kind, s.batch, s.parallel, s.kv_dtype);
  ModelShape share = s.model;
  share.attention = attention_share(s.model.attention, s.parallel.tp);
  return static_cast<double>(s.model.layers) * attention_time(s.compute, share, load) +
         static_cast<double>(count_layers(s.model).dense) *
             dense_ffn_time(s.compute, s.model, s.parallel.tp, load.tokens()) +
         head_time(s.compute, s.model, s.parallel.tp, load.sequences);
}

}  // namespace

Seconds least_step_time(const WholeShape& s) {
  const int moe = count_layers(s.model).moe;
  Seconds layer{};
  if (moe > 0) {
    const std::int64_t tokens = s.batch.tokens_per_rank;
    layer = gate_time(s.compute, s.model, tokens) + shared_expert_time(s.compute, s.model, tokens) +
            least_routed(s);
    if (!s.compute.constants.combine_sums) {
      layer += combine_reduce_time(s.compute, s.model, 0, tokens);
    }
  }
  return (1 - kClockRounding) * (common_parts(s) + static_cast<double>(moe) * layer);
}

}  // namespace moesim
