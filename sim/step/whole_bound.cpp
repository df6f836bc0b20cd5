// SPDX-License-Identifier: Apache-2.0
#include "sim/step/whole_bound.hpp"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "sim/step/attention_cost.hpp"
#include "sim/step/layer_work.hpp"

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

WholeShape shape_of(const WholeModel& m) {
  return {.model = m.step.model,
          .compute = {m.step.cluster.gpu, m.step.constants},
          .kind = m.kind,
          .parallel = m.parallel,
          .batch = m.batch,
          .kv_dtype = m.kv_dtype,
          .dropless = m.step.capacity.policy == OverflowPolicy::kNone};
}

std::vector<PreparedLayer> prepare_all(const StepModel& model, int step) {
  std::vector<PreparedLayer> layers(static_cast<std::size_t>(model.layers));
  tbb::task_group_context own(tbb::task_group_context::isolated);
  const auto prepare = [&](std::size_t layer) {
    layers[layer] = prepare_layer(model, step, static_cast<int>(layer));
  };
  tbb::parallel_for(std::size_t{0}, layers.size(), prepare, own);
  return layers;
}

/// Bytes of all layers over every cut.
Seconds slowest_cut(const StepModel& model, const std::vector<PreparedLayer>& layers) {
  CutBounds::Load load(model.cuts);
  for (const PreparedLayer& layer : layers) {
    for (const CommPlan* plan : {&layer.work.traffic.dispatch, &layer.work.traffic.combine}) {
      for (const Transfer& t : plan->transfers) {
        load.add(GpuId{t.source.value}, GpuId{t.destination.value}, t.bytes);
      }
    }
  }
  return load.slowest().time;
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

Seconds least_step_time(const WholeModel& model, int step) {
  const std::vector<PreparedLayer> layers = prepare_all(model.step, step);
  Seconds slowest{};
  for (std::size_t rank = 0; rank < static_cast<std::size_t>(model.step.ranks); ++rank) {
    Seconds own{};
    for (const PreparedLayer& layer : layers) {
      const LayerCompute& c = layer.work.compute;
      own += (c.gate[rank] + c.experts[rank] + c.reduce[rank]).to_seconds();
    }
    slowest = std::max(slowest, own);
  }
  const Seconds compute = common_parts(shape_of(model)) + slowest;
  return (1 - kClockRounding) * std::max(compute, slowest_cut(model.step, layers));
}

}  // namespace moesim
