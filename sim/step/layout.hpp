// SPDX-License-Identifier: Apache-2.0
// How a whole model lies on ranks, and what a step of it processes: values that memory and steps
// share.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/core/units.hpp"
#include "sim/moe/model.hpp"

namespace moesim {

/// What one step is.
enum class StepKind : std::uint8_t {
  kMoeLayers,  ///< a chain of MoE layers, nothing else
  kPrefill,    ///< the whole model over prompts
  kDecode,     ///< the whole model, one token a sequence
  kTrain,      ///< forward, backward and optimiser
  kServing,    ///< requests over time; no single step
};

/// What training computes again in the backward pass instead of keeping it.
enum class Recompute : std::uint8_t {
  kNone,       ///< every tensor the backward pass needs is kept
  kSelective,  ///< norms, up-projections of mla and activations of FFNs are computed again
  kFull,       ///< only the input of each layer is kept; the layer is computed again
};

/// Which work of a rank runs beside which: step.overlap.
enum class Overlap : std::uint8_t {
  kNone,          ///< one thing after the other
  kTwoBatch,      ///< two halves of the batch take turns: one computes, the other communicates
  kSharedExpert,  ///< the shared experts run beside the dispatch
  kDualPipe,      ///< training: the forward pass of a micro-batch beside the backward of another
};

/// The order of a training pipeline's passes: step.schedule.
enum class Schedule : std::uint8_t {
  kOneForwardOneBackward,  ///< 1F1B, interleaved with parallel.virtual_stages
  kDualPipe,               ///< micro-batches enter from both ends; two parts of the model a stage
};

/// [parallel]. A group of ep ranks holds all experts of a layer; its attention is data-parallel
/// over ep / tp groups of tp ranks. pp such groups, one behind the other, hold the model; dp copies
/// of that train together.
struct ParallelSpec {
  int ep = 0;  ///< expert-parallel ranks; rank r runs on GPU r; divides model.num_experts
  int tp = 1;  ///< ranks that share attention, dense layers, embedding and head; divides ep
  int pp = 1;  ///< pipeline stages
  int dp = 1;  ///< copies of the model
  int virtual_stages = 1;  ///< train: parts of the model that each stage holds (interleaved 1F1B)

  [[nodiscard]] std::int64_t gpus() const { return std::int64_t{ep} * pp * dp; }
};

/// [batch]
struct BatchSpec {
  int tokens_per_rank = 0;  ///< tokens each rank brings to every MoE layer of a step
  int steps = 1;            ///< steps replayed over the trace
  int context_tokens = 0;   ///< length of a sequence when the step ends; whole models only
  int micro_batches = 1;    ///< train, pp > 1: micro-batches of tokens_per_rank a step
};

/// Sequences whose tokens a rank brings: in decode one a token; else as many as context_tokens fit
/// into tokens_per_rank, and one where a prompt is prefilled in chunks.
[[nodiscard]] std::int64_t sequences_per_rank(StepKind kind, const BatchSpec& batch);

/// Layers [first, last) of a pipeline.
struct StageLayers {
  int first = 0;
  int last = 0;
};
/// Of part `part` of the pp * virtual_stages that the model is cut into, in the order of its
/// layers. Stage s holds the parts s, s + pp, s + 2 pp, ...
[[nodiscard]] StageLayers part_layers(const ModelShape& model,
                                      const ParallelSpec& parallel,
                                      int part);
/// Of every part that stage `stage` holds.
[[nodiscard]] std::vector<StageLayers> stage_layers(const ModelShape& model,
                                                    const ParallelSpec& parallel,
                                                    int stage);

/// The attention that one of tp ranks computes: its share of the heads, rounded up; key and value
/// heads at least one. Latents of mla and norms stay whole.
[[nodiscard]] AttentionShape attention_share(const AttentionShape& attention, int tp);

/// Elements that one token adds to the KV cache of one layer:
///   gqa  2 * kv_heads * head_dim        mla  kv_lora_rank + rope_dim        none  0
/// Source: GQA (Ainslie et al. 2023); MLA (DeepSeek-V2, arXiv 2405.04434, section 2.1), whose
/// latent and rotary key all heads share. Valid for: caches without block scales (an fp8 cache with
/// scales, as FlashMLA's 656 B a token, is larger). Checked by: memory_test (DeepSeek-V3, Llama 3).
[[nodiscard]] std::int64_t kv_elements(const AttentionShape& attention);

}  // namespace moesim
