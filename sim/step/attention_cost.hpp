// SPDX-License-Identifier: Apache-2.0
// Time of what a whole model computes beside its experts: attention, dense layers, head.
#pragma once

#include <cstdint>
#include <span>

#include "sim/core/units.hpp"
#include "sim/moe/expert_cost.hpp"
#include "sim/step/layout.hpp"

namespace moesim {

/// What one rank computes in a layer of a step. All sequences are alike.
struct AttentionLoad {
  StepKind kind = StepKind::kDecode;  ///< kDecode or kPrefill
  std::int64_t sequences = 0;         ///< of all ranks of its TP group
  std::int64_t new_tokens = 0;        ///< of each sequence; 1 in decode
  std::int64_t context = 0;           ///< of each when the step ends, the new ones counted
  Dtype kv_dtype = Dtype::kBf16;

  [[nodiscard]] std::int64_t tokens() const { return sequences * new_tokens; }
};

/// The load of a rank; see BatchSpec. A forward pass of training is a prefill of whole sequences.
[[nodiscard]] AttentionLoad attention_load(StepKind kind,
                                           const BatchSpec& batch,
                                           const ParallelSpec& parallel,
                                           Dtype kv_dtype);

/// Pairs of a new token and one that it sees, of all sequences: S P below, mean over the layers.
[[nodiscard]] double attention_pairs(const AttentionShape& attention, const AttentionLoad& load);

/// The core of attention over `load`, without projections: max(flops / rate, bytes / bandwidth) +
/// kernel_launch; rate = bf16_rate * efficiency, bandwidth = memory_bandwidth * efficiency, from
/// [calibration.attention] or, where that has none, those of GEMMs and memory. S sequences, n new
/// tokens, context c, h heads, g key heads, d head_dim, r kv_lora_rank, p rope_dim, b bytes of the
/// cache:
///   decode gqa   flops S c 4 h d              bytes S (2 c g d b + 2 h d 2)
///   decode mla   flops S c 2 h (2 r + p)      bytes S (c (r + p) b + h (2 r + p) 2)
///   prefill      flops S P 2 h (q + v)        bytes S (n h + c g) (q + v) 2
/// with P = n c - n (n - 1) / 2 (causal pairs), q and v the widths of a query and a value head, and
/// g = h for mla, whose prefill expands the latent; mla decodes in the latent space (absorbed).
/// A layer with a window w reads no more than the last w tokens before each new one, itself
/// counted: c becomes min(c, w) in decode and min(c, n + w - 1) in the bytes of prefill, P the sum
/// of min(t, w) over what the new tokens see. The time is the mean over the model's layers.
/// Source: FlashAttention-2 (Dao 2023) for flops and bytes; DeepSeek-V2 (arXiv 2405.04434) for mla.
/// Valid for: kernels that read each key once; without [calibration.attention] the efficiencies are
/// those of GEMMs and streams. Its grade is extrapolated at best. Left out: sequences of unequal
/// length, split along the context. Checked by: attention_cost_test.
[[nodiscard]] Seconds attention_core_time(const ComputeModel& compute,
                                          const AttentionShape& attention,
                                          const AttentionLoad& load);

/// The attention block of one layer on one rank, `model.attention` being its share of the heads,
/// one kernel after the other, T = load.tokens():
///   norms        two, each 4 T hidden 2 B (residual and row read and written)
///   gqa          GEMM hidden -> q, k, v; rotation and cache write, 2 T (h + 2 g) d 2 B; core; GEMM
///                -> hidden
///   mla          GEMM hidden -> q_lora_rank + r + p; GEMM q_lora_rank -> queries (without a
///   q_lora_rank
///                one GEMM hidden -> queries); rotation of queries, 2 T h p 2 B; decode: per head
///                nope_dim -> r before the core and r
///                -> head_dim after it; prefill: GEMM r -> keys and values of the whole context,
///                keys put together with their rotary part, 2 h (nope_dim + p) 2 B a row;
///                core; GEMM -> hidden
///   fp8 GEMMs    each has its rows quantised before it, 3 B an element (DeepSeek-V3 report, 3.5.2:
///                read from memory, written, read again)
/// GEMMs as grouped_gemm_time in dense_dtype, those per head in bf16, with the constants of
/// [calibration.dense_bf16] and [calibration.dense_fp8] where given. With kind none one norm
/// alone. Source: the layers of SGLang and vLLM, unfused but for q, k, v. Left out: biases. Checked
/// by: attention_cost_test.
[[nodiscard]] Seconds attention_time(const ComputeModel& compute,
                                     const ModelShape& model,
                                     const AttentionLoad& load);

/// The attention block over sequences of several kinds and lengths, as a batch of decoding
/// sequences and chunks of prompts has them. The loads share the GEMMs and norms over all their
/// tokens; the core runs once for each kind among them, over the sum of its flops and bytes; so do
/// the steps into and out of the latent (decode) and out of it (prefill), whose rows add up. One
/// load alone takes what it takes above.
/// Source: vLLM's and SGLang's backends, which split a mixed batch into decode and prefill kernels.
/// Left out: fused kernels that run both kinds at once. Checked by: attention_cost_test.
/// @param loads  of one TP group; without any tokens nothing runs
[[nodiscard]] Seconds mixed_attention_time(const ComputeModel& compute,
                                           const ModelShape& model,
                                           std::span<const AttentionLoad> loads);

/// The parts of mixed_attention_time, so that a caller may keep those that come again:
///   tokens       norms, projections, rotation: of the tokens of all loads
///   absorption   mla: into the latent space and out of it, of the decoding sequences
///   expansion    mla: the latent into keys and values, of the contexts of prefill loads
///   core         above; all loads of one kind
[[nodiscard]] Seconds attention_tokens_time(const ComputeModel& compute,
                                            const ModelShape& model,
                                            std::int64_t tokens);
[[nodiscard]] Seconds attention_absorption_time(const ComputeModel& compute,
                                                const ModelShape& model,
                                                std::int64_t sequences);
[[nodiscard]] Seconds attention_expansion_time(const ComputeModel& compute,
                                               const ModelShape& model,
                                               std::int64_t rows);
[[nodiscard]] Seconds attention_core_time(const ComputeModel& compute,
                                          const AttentionShape& attention,
                                          std::span<const AttentionLoad> loads);

/// The backward pass of attention_time: 2 (block - core) + 2.5 core, since each GEMM becomes two
/// and the two products of the core become five; quantising apart: of an fp8 GEMM the gradients of
/// its output along both sides, 6 B an element, and its input along the other one, 2 B. With
/// Recompute::kSelective the norms and the up-projections of mla (queries; keys and values) once
/// more. Source: FlashAttention-2 (Dao 2023), section 3.1.2; DeepSeek-V3 report, section 3.2.3.
/// Checked by: attention_cost_test.
[[nodiscard]] Seconds attention_backward_time(const ComputeModel& compute,
                                              const ModelShape& model,
                                              const AttentionLoad& load,
                                              Recompute recompute);

/// The gradients of the block's weights alone: as long as its GEMMs forwards. Checked by:
/// attention_cost_test.
[[nodiscard]] Seconds attention_weights_time(const ComputeModel& compute,
                                             const ModelShape& model,
                                             const AttentionLoad& load);

/// Loss and its gradient over `rows` of logits of vocabulary / tp, one memory-bound kernel: bf16
/// logits read, as fp32 written, read and turned into their gradient, which is written as bf16, 16
/// B a logit. Source: Megatron-Core's vocabulary-parallel cross entropy in fp32. Valid for: losses
/// that are not fused with the head's GEMM. Checked by: train_step_test.
[[nodiscard]] Seconds cross_entropy_time(const ComputeModel& compute,
                                         const ModelShape& model,
                                         int tp,
                                         std::int64_t rows);

/// A dense layer's FFN of dense_width / tp over `tokens`: as shared_expert_time, in dense_dtype; 0
/// in a model without dense layers. Checked by: attention_cost_test.
[[nodiscard]] Seconds dense_ffn_time(const ComputeModel& compute,
                                     const ModelShape& model,
                                     int tp,
                                     std::int64_t tokens);

/// Last norm and LM head of vocabulary / tp over the rows that are sampled: one a sequence. GEMM in
/// bf16. Left out: sampling; gathering logits over tp; the input embedding (a look-up).
[[nodiscard]] Seconds head_time(const ComputeModel& compute,
                                const ModelShape& model,
                                int tp,
                                std::int64_t rows);

}  // namespace moesim
