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

class Block {
 public:
  Block(const ComputeModel& compute, const ModelShape& model, const AttentionLoad& load)
      : compute_(compute), model_(model), a_(model.attention), load_(load) {}

  [[nodiscard]] Seconds gqa() const {
    const std::int64_t width = (a_.heads + 2 * std::int64_t{a_.kv_heads}) * a_.head_dim;
    const double rotated = 2.0 * static_cast<double>(load_.tokens() * width) * kBf16;
    return gemm(load_.tokens(), width, model_.hidden_size) + memory_kernel(compute_, rotated) +
           core() + gemm(load_.tokens(), model_.hidden_size, std::int64_t{a_.heads} * a_.head_dim);
  }

  [[nodiscard]] Seconds mla() const {
    const std::int64_t queries = std::int64_t{a_.heads} * (a_.nope_dim + a_.rope_dim);
    const std::int64_t latent = std::int64_t{a_.kv_lora_rank} + a_.rope_dim;
    const Seconds down = a_.q_lora_rank == 0
                             ? gemm(load_.tokens(), queries + latent, model_.hidden_size)
                             : gemm(load_.tokens(), a_.q_lora_rank + latent, model_.hidden_size) +
                                   gemm(load_.tokens(), queries, a_.q_lora_rank);
    return down + expansion() + core() +
           gemm(load_.tokens(), model_.hidden_size, std::int64_t{a_.heads} * a_.head_dim);
  }
  /// Of mla, from the latents of queries, keys and values.
  [[nodiscard]] Seconds up_projections() const {
    if (a_.kind != AttentionKind::kMla) {
      return {};
    }
    const std::int64_t queries = std::int64_t{a_.heads} * (a_.nope_dim + a_.rope_dim);
    return expansion() +
           (a_.q_lora_rank == 0 ? Seconds{} : gemm(load_.tokens(), queries, a_.q_lora_rank));
  }

 private:
  [[nodiscard]] Seconds gemm(std::int64_t rows, std::int64_t columns, std::int64_t inner) const {
    return grouped_gemm_time(compute_, std::span(&rows, 1), columns, inner, model_.dense_dtype);
  }
  [[nodiscard]] Seconds core() const { return attention_core_time(compute_, a_, load_); }

  /// Into the latent space and out of it, or the latent into keys and values.
  [[nodiscard]] Seconds expansion() const {
    if (load_.kind == StepKind::kPrefill) {
      return gemm(load_.sequences * load_.context,
                  std::int64_t{a_.heads} * (a_.nope_dim + a_.head_dim),
                  a_.kv_lora_rank);
    }
    const std::vector<std::int64_t> rows(static_cast<std::size_t>(a_.heads), load_.tokens());
    return grouped_gemm_time(compute_, rows, a_.kv_lora_rank, a_.nope_dim, Dtype::kBf16) +
           grouped_gemm_time(compute_, rows, a_.head_dim, a_.kv_lora_rank, Dtype::kBf16);
  }

  const ComputeModel& compute_;
  const ModelShape& model_;
  const AttentionShape& a_;
  const AttentionLoad& load_;
};

Seconds norm_time(const ComputeModel& compute, const ModelShape& model, std::int64_t tokens) {
  return memory_kernel(compute, 4.0 * static_cast<double>(tokens) * model.hidden_size * kBf16);
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
  MOESIM_CHECK(load.kind == StepKind::kDecode || load.kind == StepKind::kPrefill,
               "attention runs in prefill and decode");
  MOESIM_CHECK(load.new_tokens <= load.context, "the context counts the new tokens");
  return roofline(compute,
                  load.kind == StepKind::kDecode ? decode_core(attention, load)
                                                 : prefill_core(attention, load));
}

Seconds attention_time(const ComputeModel& compute,
                       const ModelShape& model,
                       const AttentionLoad& load) {
  const Seconds norm = norm_time(compute, model, load.tokens());
  const Block block(compute, model, load);
  switch (model.attention.kind) {
    case AttentionKind::kGqa:
      return 2.0 * norm + block.gqa();
    case AttentionKind::kMla:
      return 2.0 * norm + block.mla();
    case AttentionKind::kNone:
      return norm;
  }
  MOESIM_CHECK(false, "unknown attention");
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
         Block(compute, model, load).up_projections();
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
