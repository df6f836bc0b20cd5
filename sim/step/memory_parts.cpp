// SPDX-License-Identifier: Apache-2.0
#include "sim/step/memory_parts.hpp"

#include <algorithm>
#include <cmath>

namespace moesim {
namespace {

constexpr double kFp32Bytes = 4;
constexpr double kAdamBytes = 12;  // fp32 weight, momentum and variance

/// Elements of queries, keys, values and the heads' output of one token.
double attention_width(const AttentionShape& a) {
  const double heads = a.heads;
  switch (a.kind) {
    case AttentionKind::kGqa:
      return (2 * heads + 2.0 * a.kv_heads) * a.head_dim;
    case AttentionKind::kMla:
      return heads * (2.0 * (a.nope_dim + a.rope_dim) + 2.0 * a.head_dim);
    case AttentionKind::kNone:
      break;
  }
  return 0;
}

/// The results of an FFN's projections and of its activation.
double ffn_width(double width, bool gated) {
  return (gated ? 3 : 2) * width;
}

/// Of one token in the FFN of a MoE layer, its own hidden rows not counted: a row in and a row out
/// for each of its experts.
double moe_width(const ModelShape& m) {
  return m.top_k * (2.0 * m.hidden_size + ffn_width(m.expert_width, m.expert_gated)) +
         m.shared_experts * ffn_width(m.shared_expert_width, m.expert_gated);
}

/// Layers of a stage by kind of FFN.
struct LayerCounts {
  int moe = 0;
  int dense = 0;
};

LayerCounts count_layers(const MemoryModel& m, int stage) {
  LayerCounts counts;
  for (const StageLayers part : stage_layers(m.model, m.parallel, stage)) {
    for (int layer = part.first; layer < part.last; ++layer) {
      ++(is_moe_layer(m.model, layer) ? counts.moe : counts.dense);
    }
  }
  return counts;
}

bool is_last(const MemoryModel& m, int stage) {
  return stage == m.parallel.pp - 1;
}

/// Input table on the first stage, output table on the last; a tied one is both.
int tables_of(const MemoryModel& m, int stage) {
  const int tables = (stage == 0 ? 1 : 0) + (is_last(m, stage) ? 1 : 0);
  return m.model.tied_embeddings ? std::min(tables, 1) : tables;
}

/// fp32 logits of the rows that are sampled, 1/tp of the vocabulary each.
Bytes logits(const MemoryModel& m, double rows) {
  return bytes(rows * m.model.vocabulary * kFp32Bytes);
}

Bytes inference_activations(const MemoryModel& m, int stage) {
  const double tokens = m.batch.tokens_per_rank;
  const double tp = m.parallel.tp;
  const double of_group = tokens * tp;
  const double hidden = m.model.hidden_size;
  const LayerCounts counts = count_layers(m, stage);
  double working = 0;
  if (m.model.attention.kind != AttentionKind::kNone) {
    const double width = attention_width(attention_share(m.model.attention, m.parallel.tp));
    working = of_group * (hidden + width);
  }
  if (counts.dense > 0) {
    const double width = ffn_width(m.model.dense_width, m.model.dense_gated) / tp;
    working = std::max(working, of_group * (hidden + width));
  }
  if (counts.moe > 0) {
    working = std::max(working, tokens * (hidden + moe_width(m.model)));
  }
  const Bytes layer = bytes((of_group * hidden + working) * kBf16Bytes);
  const double sampled = m.kind == StepKind::kDecode
                             ? tokens
                             : static_cast<double>(sequences_per_rank(m.kind, m.batch));
  return is_last(m, stage) ? std::max(layer, logits(m, sampled)) : layer;
}

/// What training keeps of one token in a layer, attention counted.
struct KeptBytes {
  double dense = 0;
  double moe = 0;
};

/// Bytes of one element of a GEMM's input that is kept: in the format the GEMM reads.
double input_bytes(Dtype weights) {
  return weights == Dtype::kFp8 ? 1 : kBf16Bytes;
}

/// Norms, queries, keys and values of mla and activations are computed again, and the weights of
/// the gate multiply the activations, so that no result of an expert is needed.
KeptBytes kept_selectively(const MemoryModel& m) {
  const AttentionShape& a = m.model.attention;
  double attention = m.parallel.tp * attention_width(attention_share(a, m.parallel.tp));
  if (a.kind == AttentionKind::kMla) {
    attention = a.q_lora_rank + static_cast<double>(kv_elements(a)) +
                static_cast<double>(a.heads) * a.head_dim;
  }
  const double hidden = m.model.hidden_size;
  const double row = hidden * kBf16Bytes;
  const double before = (attention > 0 ? row : 0) + attention * kBf16Bytes + row;
  const auto inputs = [](double width, bool gated) { return (gated ? 2 : 1) * width; };
  const double routed =
      m.model.top_k * (hidden + inputs(m.model.expert_width, m.model.expert_gated));
  const double shared =
      m.model.shared_experts * inputs(m.model.shared_expert_width, m.model.expert_gated);
  return {.dense = before + inputs(m.model.dense_width, m.model.dense_gated) *
                                input_bytes(m.model.dense_dtype),
          .moe = before + (routed + shared) * input_bytes(m.model.weight_dtype)};
}

KeptBytes kept_whole(const MemoryModel& m) {
  const double hidden = m.model.hidden_size;
  const bool has_attention = m.model.attention.kind != AttentionKind::kNone;
  const double attention = has_attention
                               ? 2 * hidden + m.parallel.tp * attention_width(attention_share(
                                                                  m.model.attention, m.parallel.tp))
                               : 0;
  const double before = attention + 2 * hidden;
  return {.dense = (before + ffn_width(m.model.dense_width, m.model.dense_gated)) * kBf16Bytes,
          .moe = (before + moe_width(m.model)) * kBf16Bytes};
}

/// Passes of one part of a stage that are kept at a time.
double parts_in_flight(const MemoryModel& m, int stage) {
  const ParallelSpec& p = m.parallel;
  const int behind = p.pp - stage - 1;
  const bool pairs = m.overlap == Overlap::kDualPipe;
  const std::int64_t warm_up = p.virtual_stages == 1 && !pairs
                                   ? behind
                                   : 2 * behind + (p.virtual_stages - 1) * std::int64_t{p.pp};
  return static_cast<double>(std::min<std::int64_t>(
      warm_up + (pairs ? 2 : 1), std::int64_t{m.batch.micro_batches} * p.virtual_stages));
}

/// Of one token in the layers of a stage.
struct StageActivations {
  double kept = 0;     ///< for each micro-batch under way
  double working = 0;  ///< of the layer that runs
};

StageActivations stage_activations(const MemoryModel& m, int stage) {
  const LayerCounts counts = count_layers(m, stage);
  const Recompute recompute = m.memory.recompute;
  const KeptBytes layer = recompute == Recompute::kSelective ? kept_selectively(m) : kept_whole(m);
  if (recompute != Recompute::kFull) {
    return {counts.dense * layer.dense + counts.moe * layer.moe, 0};
  }
  return {static_cast<double>(counts.dense + counts.moe) * m.model.hidden_size * kBf16Bytes,
          std::max(counts.dense > 0 ? layer.dense : 0.0, counts.moe > 0 ? layer.moe : 0.0)};
}

Bytes training_activations(const MemoryModel& m, int stage) {
  const double tokens = m.batch.tokens_per_rank;
  const int mirrored = m.parallel.pp - 1 - stage;
  StageActivations own = stage_activations(m, stage);
  bool has_logits = is_last(m, stage);
  if (m.two_ended()) {
    const int to_end = std::min(stage, mirrored);
    const StageActivations near = stage_activations(m, to_end);
    const StageActivations far = stage_activations(m, m.parallel.pp - 1 - to_end);
    own = {near.kept * (m.parallel.pp - to_end) + far.kept * (to_end + 1),
           std::max(near.working, far.working)};
    has_logits = has_logits || is_last(m, mirrored);
  } else {
    own.kept *= parts_in_flight(m, stage) / m.parallel.virtual_stages;
  }
  const Bytes layers = bytes(tokens * (own.kept + own.working));
  return has_logits ? layers + 2.0 * logits(m, tokens) : layers;
}

/// DeepEP's low-latency layout: a message slot for every expert and token.
Bytes low_latency_buffers(const ModelShape& m, double tokens) {
  const double hidden = m.hidden_size;
  const double scales = std::floor(hidden / 128);
  const double dispatch = 16 + std::max(2 * hidden, hidden + kFp32Bytes * scales);
  const double combine = 2 * hidden + kFp32Bytes * scales;
  const double slots = m.num_experts * tokens;
  const double send = std::max(tokens * dispatch, slots * combine);
  const double receive = slots * std::max(dispatch, combine);
  return bytes(2 * (send + receive + kFp32Bytes * m.num_experts));
}

/// Of one part of the model, in stages of one part each.
StageWeights part_weights(const MemoryModel& m, int stage) {
  const ModelShape& model = m.model;
  const LayerCounts counts = count_layers(m, stage);
  const double layers = counts.moe + counts.dense;
  const double tp = m.parallel.tp;
  const double hidden = model.hidden_size;
  ModelShape share = model;
  share.attention = attention_share(model.attention, m.parallel.tp);
  StageWeights w;
  w.experts = static_cast<double>(m.slots_per_rank) * counts.moe *
              static_cast<double>(expert_parameters(model));
  w.shared =
      static_cast<double>(model.shared_experts) * counts.moe *
      static_cast<double>(ffn_parameters(model, model.shared_expert_width, model.expert_gated));
  w.attention = layers * static_cast<double>(attention_parameters(share));
  w.dense = counts.dense *
            static_cast<double>(ffn_parameters(model, model.dense_width, model.dense_gated)) / tp;
  w.embeddings = tables_of(m, stage) * static_cast<double>(embedding_parameters(model)) / tp;
  const double norms = model.attention.kind == AttentionKind::kNone ? hidden : 2 * hidden;
  const double gate =
      (hidden + (model.router_bias ? 1 : 0)) * static_cast<double>(model.num_experts);
  w.gates_and_norms = layers * norms + counts.moe * gate + (is_last(m, stage) ? hidden : 0);
  return w;
}

}  // namespace

double copies_of_experts(const MemoryModel& m) {
  return (m.two_ended() ? 2.0 : 1.0) * m.parallel.dp;
}

double copies_of_others(const MemoryModel& m) {
  return copies_of_experts(m) * m.parallel.ep / m.parallel.tp;
}

StageWeights stage_weights(const MemoryModel& m, int stage) {
  StageWeights w = part_weights(m, stage);
  if (m.two_ended()) {
    const StageWeights other = part_weights(m, m.parallel.pp - 1 - stage);
    w.experts += other.experts;
    w.shared += other.shared;
    w.attention += other.attention;
    w.dense += other.dense;
    w.embeddings += other.embeddings;
    w.gates_and_norms += other.gates_and_norms;
  }
  return w;
}

StageParameters stage_parameters(const MemoryModel& m, int stage) {
  const StageWeights w = stage_weights(m, stage);
  return {static_cast<std::int64_t>(w.experts),
          static_cast<std::int64_t>(w.shared + w.attention + w.dense + w.embeddings +
                                    w.gates_and_norms)};
}

TrainingState training_state(const MemoryModel& m, int stage) {
  const StageParameters p = stage_parameters(m, stage);
  const auto over_copies = [&](int from_stage) {
    const bool divided = m.memory.zero_stage >= from_stage;
    const double experts = divided ? copies_of_experts(m) : 1;
    const double others = divided ? copies_of_others(m) : 1;
    return static_cast<double>(p.experts) / experts + static_cast<double>(p.others) / others;
  };
  return {bytes(over_copies(2) * bytes_per_element(m.memory.gradient_dtype)),
          bytes(over_copies(1) * kAdamBytes)};
}

Bytes activation_bytes(const MemoryModel& m, int stage) {
  return m.kind == StepKind::kTrain ? training_activations(m, stage)
                                    : inference_activations(m, stage);
}

Bytes communication_bytes(const MemoryModel& m) {
  if (m.model.moe_layers == 0) {
    return {};
  }
  const double tokens = m.batch.tokens_per_rank;
  if (m.dispatcher == DispatcherKind::kLowLatency) {
    return low_latency_buffers(m.model, tokens);
  }
  const std::int64_t row = activation_row_bytes(m.model.hidden_size, m.model.dispatch_dtype) +
                           activation_row_bytes(m.model.hidden_size, m.model.combine_dtype);
  const double copies = std::min(m.model.top_k, m.parallel.ep);
  return bytes(2 * tokens * copies * static_cast<double>(row));
}

}  // namespace moesim
