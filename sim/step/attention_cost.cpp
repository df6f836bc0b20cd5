// SPDX-License-Identifier: Apache-2.0
#include "sim/step/attention_cost.hpp"

#include <algorithm>
#include <vector>

#include "sim/core/check.hpp"
#include "sim/step/dense_kernels.hpp"

namespace moesim {
namespace {

/// Flops and bytes of one kernel.
struct Work {
  double flops = 0;
  double bytes = 0;
};

double given_or(double constant, double fallback) {
  return constant > 0 ? constant : fallback;
}

/// Of the core's kernel for one kind of step.
Seconds roofline(const ComputeModel& compute, StepKind kind, bool backward, Work work) {
  const ComputeModel c = dense_kernels(compute, Dtype::kBf16);
  const AttentionKernels& a = compute.constants.attention;
  const bool decodes = kind == StepKind::kDecode;
  const double rate =
      decodes ? a.decode_efficiency : (backward ? a.backward_efficiency : a.prefill_efficiency);
  const Seconds arithmetic =
      flops(work.flops) / (c.gpu.bf16_rate * given_or(rate, compute.constants.gemm_efficiency));
  const double bandwidth =
      given_or(decodes ? a.decode_memory_efficiency : 0.0, c.constants.memory_efficiency);
  const Seconds memory = bytes(work.bytes) / (c.gpu.memory_bandwidth * bandwidth);
  return std::max(arithmetic, memory) + c.constants.kernel_launch;
}

Work decode_core(const AttentionShape& a, const AttentionLoad& load, std::int64_t window) {
  const auto sequences = static_cast<double>(load.sequences);
  const auto context =
      static_cast<double>(window > 0 ? std::min(load.context, window) : load.context);
  const double cache = bytes_per_element(load.kv_dtype);
  const double heads = a.heads;
  if (a.kind == AttentionKind::kMla) {
    const double width = 2.0 * a.kv_lora_rank + a.rope_dim;
    const double latent = static_cast<double>(kv_elements(a));
    return {sequences * context * 2 * heads * width,
            sequences * (context * latent * cache + heads * width * kBf16Bytes)};
  }
  return {sequences * context * 4 * heads * a.head_dim,
          sequences * (context * static_cast<double>(kv_elements(a)) * cache +
                       2 * heads * a.head_dim * kBf16Bytes)};
}

/// Of new tokens at the end of a context, each with itself and those before it inside its window.
double pairs_of(const AttentionLoad& load, std::int64_t window) {
  const std::int64_t first = load.context - load.new_tokens + 1;  // what the first new one sees
  const std::int64_t within = window > 0
                                  ? std::clamp<std::int64_t>(window - first + 1, 0, load.new_tokens)
                                  : load.new_tokens;
  const auto free = static_cast<double>(within);
  return free * static_cast<double>(first) + free * (free - 1) / 2 +
         static_cast<double>((load.new_tokens - within) * window);
}

Work prefill_core(const AttentionShape& a, const AttentionLoad& load, std::int64_t window) {
  const auto sequences = static_cast<double>(load.sequences);
  const auto context = static_cast<double>(
      window > 0 ? std::min(load.context, load.new_tokens + window - 1) : load.context);
  const auto fresh = static_cast<double>(load.new_tokens);
  const bool mla = a.kind == AttentionKind::kMla;
  const double widths = mla ? a.nope_dim + a.rope_dim + a.head_dim : 2.0 * a.head_dim;
  const double key_heads = mla ? a.heads : a.kv_heads;
  return {sequences * pairs_of(load, window) * 2 * a.heads * widths,
          sequences * (fresh * a.heads + context * key_heads) * widths * kBf16Bytes};
}

Work core_of(const AttentionShape& a, const AttentionLoad& load, std::int64_t window) {
  MOESIM_CHECK(load.kind == StepKind::kDecode || load.kind == StepKind::kPrefill,
               "attention runs in prefill and decode");
  MOESIM_CHECK(load.new_tokens <= load.context, "the context counts the new tokens");
  return load.kind == StepKind::kDecode ? decode_core(a, load, window)
                                        : prefill_core(a, load, window);
}

/// Of a value that depends on a layer's window (0: none).
template <typename OfWindow>
auto mean_over_layers(const AttentionShape& a, const OfWindow& of_window) {
  const double windowed = windowed_share(a);
  if (windowed == 0) {
    return of_window(std::int64_t{0});
  }
  return (1 - windowed) * of_window(std::int64_t{0}) + windowed * of_window(std::int64_t{a.window});
}

/// The cores of all loads of one kind in one layer.
Seconds core_kernel(const ComputeModel& compute,
                    const AttentionShape& a,
                    std::span<const AttentionLoad> loads,
                    StepKind kind,
                    std::int64_t window) {
  Work all;
  for (const AttentionLoad& load : loads) {
    if (load.kind == kind && load.tokens() > 0) {
      const Work one = core_of(a, load, window);
      all.flops += one.flops;
      all.bytes += one.bytes;
    }
  }
  return roofline(compute, kind, false, all);
}

Seconds gemm_time(const ComputeModel& compute,
                  const ModelShape& model,
                  std::int64_t rows,
                  std::int64_t columns,
                  std::int64_t inner) {
  return grouped_gemm_time(dense_kernels(compute, model.dense_dtype),
                           std::span(&rows, 1),
                           columns,
                           inner,
                           model.dense_dtype);
}

/// bf16 rows read, fp8 ones written, by a kernel of its own before an fp8 GEMM.
Seconds quantise_time(const ComputeModel& compute,
                      const ModelShape& model,
                      std::int64_t rows,
                      std::int64_t width) {
  constexpr double kBytes = 3;
  return model.dense_dtype == Dtype::kFp8
             ? memory_kernel(compute, kBytes * static_cast<double>(rows * width))
             : Seconds{};
}

/// A projection's columns and inner length.
struct Projection {
  std::int64_t columns = 0;
  std::int64_t inner = 0;
};

/// Of attention over its tokens; mla's expansion of the latent is apart.
std::vector<Projection> projections_of(const ModelShape& model) {
  const AttentionShape& a = model.attention;
  const std::int64_t out = std::int64_t{a.heads} * a.head_dim;
  const std::int64_t hidden = model.hidden_size;
  if (a.kind == AttentionKind::kGqa) {
    return {{(a.heads + 2 * std::int64_t{a.kv_heads}) * a.head_dim, hidden}, {hidden, out}};
  }
  const std::int64_t queries = std::int64_t{a.heads} * (a.nope_dim + a.rope_dim);
  const std::int64_t latent = std::int64_t{a.kv_lora_rank} + a.rope_dim;
  if (a.q_lora_rank == 0) {
    return {{queries + latent, hidden}, {hidden, out}};
  }
  return {{a.q_lora_rank + latent, hidden}, {queries, a.q_lora_rank}, {hidden, out}};
}

Projection expansion_of(const AttentionShape& a) {
  return {std::int64_t{a.heads} * (a.nope_dim + a.head_dim), a.kv_lora_rank};
}

/// Queries and keys turned, the cache written (mla: queries alone, what it writes is small).
Seconds rotation_time(const ComputeModel& compute, const ModelShape& model, std::int64_t tokens) {
  const AttentionShape& a = model.attention;
  const std::int64_t width = a.kind == AttentionKind::kGqa
                                 ? (a.heads + 2 * std::int64_t{a.kv_heads}) * a.head_dim
                                 : std::int64_t{a.heads} * a.rope_dim;
  return memory_kernel(compute, 2.0 * static_cast<double>(tokens * width) * kBf16Bytes);
}

Seconds projections_time(const ComputeModel& compute,
                         const ModelShape& model,
                         std::int64_t tokens) {
  Seconds time = rotation_time(compute, model, tokens);
  for (const Projection& p : projections_of(model)) {
    time += quantise_time(compute, model, tokens, p.inner) +
            gemm_time(compute, model, tokens, p.columns, p.inner);
  }
  return time;
}

/// fp8 GEMMs backwards: gradients of outputs in both directions, inputs in the other one.
Seconds quantise_backward_time(const ComputeModel& compute,
                               const ModelShape& model,
                               const AttentionLoad& load) {
  constexpr double kOfGradient = 6;
  constexpr double kOfInput = 2;
  if (model.dense_dtype != Dtype::kFp8 || model.attention.kind == AttentionKind::kNone) {
    return {};
  }
  std::vector<Projection> projections = projections_of(model);
  if (model.attention.kind == AttentionKind::kMla) {
    projections.push_back(expansion_of(model.attention));
  }
  Seconds time;
  for (const Projection& p : projections) {
    time += memory_kernel(
        compute,
        static_cast<double>(load.tokens()) * (kOfGradient * static_cast<double>(p.columns) +
                                              kOfInput * static_cast<double>(p.inner)));
  }
  return time;
}

/// Of the forward pass, as attention_time has them.
Seconds quantise_forward_time(const ComputeModel& compute,
                              const ModelShape& model,
                              const AttentionLoad& load) {
  Seconds time;
  if (model.attention.kind == AttentionKind::kNone) {
    return time;
  }
  for (const Projection& p : projections_of(model)) {
    time += quantise_time(compute, model, load.tokens(), p.inner);
  }
  if (model.attention.kind == AttentionKind::kMla) {
    time += quantise_time(
        compute, model, load.sequences * load.context, expansion_of(model.attention).inner);
  }
  return time;
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

double attention_pairs(const AttentionShape& attention, const AttentionLoad& load) {
  return static_cast<double>(load.sequences) *
         mean_over_layers(attention, [&](std::int64_t window) { return pairs_of(load, window); });
}

Seconds attention_core_time(const ComputeModel& compute,
                            const AttentionShape& attention,
                            const AttentionLoad& load) {
  return mean_over_layers(attention, [&](std::int64_t window) {
    return roofline(compute, load.kind, false, core_of(attention, load, window));
  });
}

Seconds attention_core_time(const ComputeModel& compute,
                            const AttentionShape& attention,
                            std::span<const AttentionLoad> loads) {
  Seconds time;
  for (const StepKind kind : {StepKind::kDecode, StepKind::kPrefill}) {
    const bool any = std::any_of(loads.begin(), loads.end(), [kind](const AttentionLoad& load) {
      return load.kind == kind && load.tokens() > 0;
    });
    if (any) {
      time += mean_over_layers(attention, [&](std::int64_t window) {
        return core_kernel(compute, attention, loads, kind, window);
      });
    }
  }
  return time;
}

Seconds attention_tokens_time(const ComputeModel& compute,
                              const ModelShape& model,
                              std::int64_t tokens) {
  const Seconds norm = norm_time(compute, model, tokens);
  switch (model.attention.kind) {
    case AttentionKind::kGqa:
    case AttentionKind::kMla:
      return 2.0 * norm + projections_time(compute, model, tokens);
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
  const ComputeModel dense = dense_kernels(compute, Dtype::kBf16);
  return grouped_gemm_time(dense, rows, a.kv_lora_rank, a.nope_dim, Dtype::kBf16) +
         grouped_gemm_time(dense, rows, a.head_dim, a.kv_lora_rank, Dtype::kBf16);
}

Seconds attention_expansion_time(const ComputeModel& compute,
                                 const ModelShape& model,
                                 std::int64_t rows) {
  const AttentionShape& a = model.attention;
  if (a.kind != AttentionKind::kMla || rows == 0) {
    return {};
  }
  const Projection p = expansion_of(a);
  const double keys = 2.0 * a.heads * (a.nope_dim + a.rope_dim) * kBf16Bytes;
  return quantise_time(compute, model, rows, p.inner) +
         gemm_time(compute, model, rows, p.columns, p.inner) +
         memory_kernel(compute, keys * static_cast<double>(rows));
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
  const Seconds rest =
      attention_time(compute, model, load) - core - quantise_forward_time(compute, model, load);
  const Seconds core_backward =
      none ? Seconds{} : mean_over_layers(model.attention, [&](std::int64_t window) {
        return roofline(compute, load.kind, true, core_of(model.attention, load, window));
      });
  const Seconds backward =
      2.0 * rest + 2.5 * core_backward + quantise_backward_time(compute, model, load);
  if (recompute != Recompute::kSelective) {
    return backward;
  }
  const double norms = none ? 1 : 2;
  return backward + norms * norm_time(compute, model, load.tokens()) +
         up_projections(compute, model, load);
}

Seconds attention_weights_time(const ComputeModel& compute,
                               const ModelShape& model,
                               const AttentionLoad& load) {
  if (model.attention.kind == AttentionKind::kNone) {
    return {};
  }
  const bool latent = model.attention.kind == AttentionKind::kMla;
  const std::int64_t keys = latent ? load.sequences * load.context : 0;
  Seconds time;
  for (const Projection& p : projections_of(model)) {
    time += gemm_time(compute, model, load.tokens(), p.columns, p.inner);
  }
  if (keys > 0) {
    const Projection p = expansion_of(model.attention);
    time += gemm_time(compute, model, keys, p.columns, p.inner);
  }
  return time;
}

}  // namespace moesim
