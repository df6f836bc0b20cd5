// SPDX-License-Identifier: Apache-2.0
#include "sim/step/whole_bound.hpp"

#include <algorithm>
#include <vector>

#include "sim/step/attention_cost.hpp"

namespace moesim {
namespace {

constexpr double kClockRounding = 1e-6;
constexpr double kFlopsPerMultiplyAdd = 2;

struct LayerCount {
  int all = 0;
  int moe = 0;
  int dense = 0;
};

LayerCount count_layers(const ModelShape& model, StageLayers layers) {
  LayerCount count;
  for (int layer = layers.first; layer < layers.last; ++layer) {
    ++count.all;
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

bool takes_turns(Overlap overlap) {
  return overlap == Overlap::kTwoBatch || overlap == Overlap::kDualPipe;
}

/// What a pass through some layers is made of, forwards and backwards.
struct LeastTimes {
  Seconds attention;
  Seconds attention_backward;
  Seconds dense;
  Seconds head;
  Seconds gate;
  Seconds shared;
  Seconds routed;
  Seconds reduce;
  Seconds dispatch_start;
  Seconds combine_start;
  Seconds exchange_start;  ///< of a TP group
};

LeastTimes least_times(const WholeShape& s) {
  const AttentionLoad load = attention_load(s.kind, s.batch, s.parallel, s.kv_dtype);
  const std::int64_t tokens = s.batch.tokens_per_rank;
  const std::int64_t head_rows = s.kind == StepKind::kTrain ? load.tokens() : load.sequences;
  const CostConstants& c = s.compute.constants;
  ModelShape share = s.model;
  share.attention = attention_share(s.model.attention, s.parallel.tp);
  LeastTimes t;
  t.attention = attention_time(s.compute, share, load);
  if (s.kind == StepKind::kTrain) {
    t.attention_backward = attention_backward_time(s.compute, share, load, s.recompute);
  }
  t.dense = dense_ffn_time(s.compute, s.model, s.parallel.tp, load.tokens());
  t.head = head_time(s.compute, s.model, s.parallel.tp, head_rows);
  if (s.model.moe_layers > 0) {
    t.gate = gate_time(s.compute, s.model, tokens);
    t.shared = shared_expert_time(s.compute, s.model, tokens);
    t.routed = least_routed(s);
    t.reduce = c.combine_sums ? Seconds{} : combine_reduce_time(s.compute, s.model, 0, tokens);
  }
  if (!takes_turns(s.overlap)) {
    t.dispatch_start = c.communication_start;
    t.combine_start = c.communication_start + c.combine_extra_start;
    t.exchange_start = s.parallel.tp > 1 ? c.communication_start : Seconds{};
  }
  return t;
}

/// The exchange of a layer with its shared experts, which run `times` their forward time.
Seconds exchange(const WholeShape& s, const LeastTimes& t, double times) {
  const Seconds shared = times * t.shared;
  const Seconds dispatch = s.overlap == Overlap::kSharedExpert ? std::max(shared, t.dispatch_start)
                                                               : shared + t.dispatch_start;
  return dispatch + t.combine_start;
}

/// Exchanges of TP groups on the way through the layers, one way.
double exchanges(const LayerCount& count, StageLayers layers) {
  return 2.0 * count.all - (layers.first == 0 && count.all > 0 ? 1 : 0) + 2.0 * count.dense;
}

Seconds least_forward(const WholeShape& s, const LeastTimes& t, StageLayers layers, bool head) {
  const LayerCount count = count_layers(s.model, layers);
  return count.all * t.attention + count.dense * t.dense +
         count.moe * (t.gate + t.routed + t.reduce + exchange(s, t, 1)) +
         exchanges(count, layers) * t.exchange_start + (head ? t.head : Seconds{});
}

Seconds least_backward(const WholeShape& s, const LeastTimes& t, StageLayers layers, bool head) {
  const LayerCount count = count_layers(s.model, layers);
  const Seconds again =
      s.recompute == Recompute::kFull ? least_forward(s, t, layers, false) : Seconds{};
  return again + count.all * t.attention_backward + 2.0 * count.dense * t.dense +
         count.moe * (2.0 * t.gate + 2.0 * t.routed + 2.0 * t.reduce + exchange(s, t, 2)) +
         exchanges(count, layers) * t.exchange_start + (head ? 2.0 * t.head : Seconds{});
}

/// Of inference: on pp stages as forward_step() has it, transfers taken for free.
Seconds least_inference_step(const WholeShape& s) {
  const LeastTimes t = least_times(s);
  Seconds once{};
  Seconds longest{};
  for (int stage = 0; stage < s.parallel.pp; ++stage) {
    const Seconds pass =
        least_forward(s, t, part_layers(s.model, s.parallel, stage), stage + 1 == s.parallel.pp);
    once += pass;
    longest = std::max(longest, pass);
  }
  const double micro_batches = s.batch.micro_batches;
  return s.kind == StepKind::kDecode ? std::max(once, micro_batches * longest)
                                     : once + (micro_batches - 1) * longest;
}

std::vector<Seconds> stage_ends(const WholeShape& s) {
  if (s.schedule != Schedule::kOneForwardOneBackward) {
    return {};
  }
  const LeastTimes t = least_times(s);
  const int stages = s.parallel.pp;
  const int parts = stages * s.parallel.virtual_stages;
  std::vector<Seconds> forward;
  std::vector<Seconds> backward;
  for (int part = 0; part < parts; ++part) {
    const StageLayers layers = part_layers(s.model, s.parallel, part);
    const bool head = part + 1 == parts;
    forward.push_back(least_forward(s, t, layers, head));
    backward.push_back(least_backward(s, t, layers, head));
  }
  std::vector<Seconds> ends;
  Seconds before{};
  for (int stage = 0; stage < stages; ++stage) {
    Seconds own{};
    for (int part = stage; part < parts; part += stages) {
      const auto p = static_cast<std::size_t>(part);
      own += forward[p] + backward[p];
    }
    ends.push_back(before + static_cast<double>(s.batch.micro_batches) * own);
    before += forward[static_cast<std::size_t>(stage)];
  }
  for (std::size_t stage = ends.size() - 1; stage > 0; --stage) {
    ends[stage - 1] = std::max(ends[stage - 1], ends[stage] + backward[stage - 1]);
  }
  return ends;
}

}  // namespace

std::vector<Seconds> least_stage_ends(const WholeShape& s) {
  std::vector<Seconds> ends = stage_ends(s);
  for (Seconds& end : ends) {
    end = (1 - kClockRounding) * end;
  }
  return ends;
}

Seconds least_step_time(const WholeShape& s) {
  if (s.kind != StepKind::kTrain) {
    return (1 - kClockRounding) * least_inference_step(s);
  }
  const std::vector<Seconds> ends = least_stage_ends(s);
  return ends.empty() ? Seconds{} : ends.front();
}

WholeShape shape_of(const WholeModel& m) {
  return {.model = m.step.model,
          .compute = {m.step.cluster.gpu, m.step.constants},
          .kind = m.kind,
          .parallel = m.parallel,
          .batch = m.batch,
          .kv_dtype = m.kv_dtype,
          .dropless = m.step.capacity.policy == OverflowPolicy::kNone,
          .overlap = m.overlap,
          .recompute = m.training.recompute,
          .schedule = m.training.schedule};
}

}  // namespace moesim
