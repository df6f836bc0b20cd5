// SPDX-License-Identifier: Apache-2.0
#include "sim/step/attention_cost.hpp"

#include <algorithm>
#include <vector>

#include "sim/core/check.hpp"

namespace moesim {
namespace {

constexpr double kBf16 = 2;

/// Flops and bytes of one kernel.
struct Work {
  double flops = 0;
  double bytes = 0;
};

Seconds memory_kernel(const ComputeModel& c, double moved) {
  return bytes(moved) / (c.gpu.memory_bandwidth * c.constants.memory_efficiency) +
         c.constants.kernel_launch;
}

Seconds roofline(const ComputeModel& c, Work work) {
  const Seconds arithmetic = flops(work.flops) / (c.gpu.bf16_rate * c.constants.gemm_efficiency);
  const Seconds memory =
      bytes(work.bytes) / (c.gpu.memory_bandwidth * c.constants.memory_efficiency);
  return std::max(arithmetic, memory) + c.constants.kernel_launch;
}

Work decode_core(const AttentionShape& a, const AttentionLoad& load) {
  const auto sequences = static_cast<double>(load.sequences);
  const auto context = static_cast<double>(load.context);
  const double cache = bytes_per_element(load.kv_dtype);
  const double heads = a.heads;
  if (a.kind == AttentionKind::kMla) {
    const double width = 2.0 * a.kv_lora_rank + a.rope_dim;
    const double latent = static_cast<double>(kv_elements(a));
    return {sequences * context * 2 * heads * width,
            sequences * (context * latent * cache + heads * width * kBf16)};
  }
  return {sequences * context * 4 * heads * a.head_dim,
          sequences * (context * static_cast<double>(kv_elements(a)) * cache +
                       2 * heads * a.head_dim * kBf16)};
}

Work prefill_core(const AttentionShape& a, const AttentionLoad& load) {
  const auto sequences = static_cast<double>(load.sequences);
  const auto context = static_cast<double>(load.context);
  const auto fresh = static_cast<double>(load.new_tokens);
  const bool mla = a.kind == AttentionKind::kMla;
  const double widths = mla ? a.nope_dim + a.rope_dim + a.head_dim : 2.0 * a.head_dim;
  const double key_heads = mla ? a.heads : a.kv_heads;
  const double pairs = fresh * context - fresh * (fresh - 1) / 2;
  return {sequences * pairs * 2 * a.heads * widths,
          sequences * (fresh * a.heads + context * key_heads) * widths * kBf16};
}

Work core_of(const AttentionShape& a, const AttentionLoad& load) {
  MOESIM_CHECK(load.kind == StepKind::kDecode || load.kind == StepKind::kPrefill,
               "attention runs in prefill and decode");
  MOESIM_CHECK(load.new_tokens <= load.context, "the context counts the new tokens");
  return load.kind == StepKind::kDecode ? decode_core(a, load) : prefill_core(a, load);
}

Seconds gemm_time(const ComputeModel& compute,
                  const ModelShape& model,
                  std::int64_t rows,
                  std::int64_t columns,
                  std::int64_t inner) {
  return grouped_gemm_time(compute, std::span(&rows, 1), columns, inner, model.dense_dtype);
}

Seconds gqa_projections(const ComputeModel& compute, const ModelShape& model, std::int64_t tokens) {
  const AttentionShape& a = model.attention;
  const std::int64_t width = (a.heads + 2 * std::int64_t{a.kv_heads}) * a.head_dim;
  const double rotated = 2.0 * static_cast<double>(tokens * width) * kBf16;
  return gemm_time(compute, model, tokens, width, model.hidden_size) +
         memory_kernel(compute, rotated) +
         gemm_time(compute, model, tokens, model.hidden_size, std::int64_t{a.heads} * a.head_dim);
}

Seconds mla_projections(const ComputeModel& compute, const ModelShape& model, std::int64_t tokens) {
  const AttentionShape& a = model.attention;
  const std::int64_t queries = std::int64_t{a.heads} * (a.nope_dim + a.rope_dim);
  const std::int64_t latent = std::int64_t{a.kv_lora_rank} + a.rope_dim;
  const Seconds down =
      a.q_lora_rank == 0
          ? gemm_time(compute, model, tokens, queries + latent, model.hidden_size)
          : gemm_time(compute, model, tokens, a.q_lora_rank + latent, model.hidden_size) +
                gemm_time(compute, model, tokens, queries, a.q_lora_rank);
  return down +
         gemm_time(compute, model, tokens, model.hidden_size, std::int64_t{a.heads} * a.head_dim);
}

Seconds norm_time(const ComputeModel& compute, const ModelShape& model, std::int64_t tokens) {
  return memory_kernel(compute, 4.0 * static_cast<double>(tokens) * model.hidden_size * kBf16);
}

/// Of mla, from the latents of queries, keys and values.
Seconds up_projections(const ComputeModel& compute,
                       const ModelShape& model,
                       const AttentionLoad& load) {
  const AttentionShape& a = model.attention;
  if (a.kind != AttentionKind::kMla) {
    return {};
  }
  const std::int64_t queries = std::int64_t{a.heads} * (a.nope_dim + a.rope_dim);
  return attention_expansion_time(compute, model, load.sequences * load.context) +
         (a.q_lora_rank == 0 ? Seconds{}
                             : gemm_time(compute, model, load.tokens(), queries, a.q_lora_rank));
}

}  // namespace

AttentionLoad attention_load(StepKind kind,
                             const BatchSpec& batch,
                             const ParallelSpec& parallel,
                             Dtype kv_dtype) {
  const std::int64_t sequences = sequences_per_rank(kind, batch);
  return {.kind = kind == StepKind::kTrain ? StepKind::kPrefill : kind,
          .sequences = sequences * parallel.tp,
          .new_tokens = batch.tokens_per_rank / sequences,
          .context = batch.context_tokens,
          .kv_dtype = kv_dtype};
}

Seconds attention_core_time(const ComputeModel& compute,
                            const AttentionShape& attention,
                            const AttentionLoad& load) {
  return roofline(compute, core_of(attention, load));
}

Seconds attention_core_time(const ComputeModel& compute,
                            const AttentionShape& attention,
                            std::span<const AttentionLoad> loads) {
  Seconds time;
  for (const StepKind kind : {StepKind::kDecode, StepKind::kPrefill}) {
    Work all;
    bool any = false;
    for (const AttentionLoad& load : loads) {
      if (load.kind == kind && load.tokens() > 0) {
        const Work one = core_of(attention, load);
        all.flops += one.flops;
        all.bytes += one.bytes;
        any = true;
      }
    }
    time += any ? roofline(compute, all) : Seconds{};
  }
  return time;
}

Seconds attention_tokens_time(const ComputeModel& compute,
                              const ModelShape& model,
                              std::int64_t tokens) {
  const Seconds norm = norm_time(compute, model, tokens);
  switch (model.attention.kind) {
    case AttentionKind::kGqa:
      return 2.0 * norm + gqa_projections(compute, model, tokens);
    case AttentionKind::kMla:
      return 2.0 * norm + mla_projections(compute, model, tokens);
    case AttentionKind::kNone:
      return norm;
  }
  MOESIM_CHECK(false, "unknown attention");
}

Seconds attention_absorption_time(const ComputeModel& compute,
                                  const ModelShape& model,
                                  std::int64_t sequences) {
  const AttentionShape& a = model.attention;
  if (a.kind != AttentionKind::kMla || sequences == 0) {
    return {};
  }
  const std::vector<std::int64_t> rows(static_cast<std::size_t>(a.heads), sequences);
  return grouped_gemm_time(compute, rows, a.kv_lora_rank, a.nope_dim, Dtype::kBf16) +
         grouped_gemm_time(compute, rows, a.head_dim, a.kv_lora_rank, Dtype::kBf16);
}

Seconds attention_expansion_time(const ComputeModel& compute,
                                 const ModelShape& model,
                                 std::int64_t rows) {
  const AttentionShape& a = model.attention;
  if (a.kind != AttentionKind::kMla || rows == 0) {
    return {};
  }
  return gemm_time(
      compute, model, rows, std::int64_t{a.heads} * (a.nope_dim + a.head_dim), a.kv_lora_rank);
}

Seconds mixed_attention_time(const ComputeModel& compute,
                             const ModelShape& model,
                             std::span<const AttentionLoad> loads) {
  std::int64_t tokens = 0;
  std::int64_t decoding = 0;
  std::int64_t expanded = 0;
  for (const AttentionLoad& load : loads) {
    tokens += load.tokens();
    decoding += load.kind == StepKind::kDecode ? load.tokens() : 0;
    expanded +=
        load.kind == StepKind::kPrefill && load.tokens() > 0 ? load.sequences * load.context : 0;
  }
  if (tokens == 0) {
    return {};
  }
  const Seconds core = model.attention.kind == AttentionKind::kNone
                           ? Seconds{}
                           : attention_core_time(compute, model.attention, loads);
  return attention_tokens_time(compute, model, tokens) +
         attention_absorption_time(compute, model, decoding) +
         attention_expansion_time(compute, model, expanded) + core;
}

Seconds attention_time(const ComputeModel& compute,
                       const ModelShape& model,
                       const AttentionLoad& load) {
  return mixed_attention_time(compute, model, std::span(&load, 1));
}

Seconds attention_backward_time(const ComputeModel& compute,
                                const ModelShape& model,
                                const AttentionLoad& load,
                                Recompute recompute) {
  const bool none = model.attention.kind == AttentionKind::kNone;
  const Seconds core = none ? Seconds{} : attention_core_time(compute, model.attention, load);
  const Seconds rest = attention_time(compute, model, load) - core;
  const Seconds backward = 2.0 * rest + 2.5 * core;
  if (recompute != Recompute::kSelective) {
    return backward;
  }
  const double norms = none ? 1 : 2;
  return backward + norms * norm_time(compute, model, load.tokens()) +
         up_projections(compute, model, load);
}

Seconds dense_ffn_time(const ComputeModel& compute,
                       const ModelShape& model,
                       int tp,
                       std::int64_t tokens) {
  if (model.dense_width == 0) {
    return {};
  }
  ModelShape ffn = model;
  ffn.weight_dtype = model.dense_dtype;
  ffn.expert_gated = model.dense_gated;
  ffn.shared_experts = 1;
  ffn.shared_expert_width = (model.dense_width + tp - 1) / tp;
  return shared_expert_time(compute, ffn, tokens);
}

Seconds head_time(const ComputeModel& compute, const ModelShape& model, int tp, std::int64_t rows) {
  return norm_time(compute, model, rows) + grouped_gemm_time(compute,
                                                             std::span(&rows, 1),
                                                             (model.vocabulary + tp - 1) / tp,
                                                             model.hidden_size,
                                                             Dtype::kBf16);
}

}  // namespace moesim
