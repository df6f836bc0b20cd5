// SPDX-License-Identifier: Apache-2.0
// The shape of a model: what the cost models and the dispatchers need, and its parameter count.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace moesim {

enum class Dtype { kBf16, kFp8, kMxfp4, kFp32 };

/// Bytes per element, block scales not counted (mxfp4: 0.5).
[[nodiscard]] double bytes_per_element(Dtype dtype);
inline constexpr double kBf16Bytes = 2;
/// "bf16", "fp8", "mxfp4", "fp32", as in a scenario.
[[nodiscard]] std::string_view to_text(Dtype dtype);

/// Bytes a weight takes in memory, block scales counted: fp8 one fp32 per 128 x 128 block
/// (DeepSeek-V3), mxfp4 one byte per 32 elements (OCP Microscaling Formats 1.0).
[[nodiscard]] double stored_bytes_per_weight(Dtype dtype);

/// Scales beside one row of `elements` activations: fp8 one fp32 per 128, mxfp4 one byte per 32, a
/// part of a block counted whole; else none.
[[nodiscard]] std::int64_t activation_scale_bytes(std::int64_t elements, Dtype dtype);

/// One row of activations with its scales.
[[nodiscard]] std::int64_t activation_row_bytes(std::int64_t elements, Dtype dtype);

enum class AttentionKind { kGqa, kMla, kNone };

/// Attention widths. Zero where the kind has no such part; kNone has none: a stack of FFNs.
struct AttentionShape {
  AttentionKind kind = AttentionKind::kGqa;
  int heads = 0;
  int kv_heads = 0;      ///< gqa
  int head_dim = 0;      ///< gqa; also the value head width of mla
  int q_lora_rank = 0;   ///< mla, 0: queries are projected directly
  int kv_lora_rank = 0;  ///< mla
  int rope_dim = 0;      ///< mla: rotary part of a query/key head
  int nope_dim = 0;      ///< mla: other part of a query/key head
  bool biases = false;   ///< q, k, v and output projections have biases
  bool qk_norm = false;  ///< RMS norms on query and key heads
  bool sinks = false;    ///< one learned sink logit a head (gpt-oss)
  int window = 0;        ///< gqa: tokens that a windowed layer looks back, its own counted; 0: all
  int full_every = 0;    ///< with a window: one layer in so many has none; 0: all have it
};

/// Part of the layers whose attention has a window: 1 - 1 / full_every.
[[nodiscard]] double windowed_share(const AttentionShape& attention);

/// A decoder-only MoE model. Widths in elements.
struct ModelShape {
  std::string name;
  int hidden_size = 0;
  int layers = 0;           ///< decoder layers, dense ones included
  int moe_layers = 0;       ///< 0: a dense model, without experts
  int first_moe_layer = 0;  ///< index of the first MoE layer in the model
  int moe_interval = 1;     ///< every how many layers a MoE layer follows the first one
  int num_experts = 0;      ///< routed experts of one layer
  int top_k = 0;
  int shared_experts = 0;
  int expert_width = 0;         ///< intermediate size of one routed expert
  int shared_expert_width = 0;  ///< of one shared expert, 0 without shared experts
  int dense_width = 0;          ///< of the dense layers' FFN, 0 without dense layers
  int vocabulary = 0;
  bool tied_embeddings = false;
  bool expert_biases = false;  ///< gate+up and down projections have biases
  bool router_bias = false;    ///< one bias per expert in the gate
  bool expert_gated = true;    ///< experts have gate, up and down (SwiGLU); else up and down only
  bool dense_gated = true;     ///< the same of the dense layers
  AttentionShape attention;
  Dtype weight_dtype = Dtype::kBf16;      ///< of the routed and shared experts' weights
  Dtype dense_dtype = Dtype::kBf16;       ///< of the projections of attention and dense layers
  Dtype dispatch_dtype = Dtype::kBf16;    ///< payload of the dispatch
  Dtype combine_dtype = Dtype::kBf16;     ///< payload of the combine
  double published_total_parameters = 0;  ///< 0 where none is published
  double published_active_parameters = 0;
};

/// Decoder layer `layer` (0 .. layers - 1) is a MoE layer.
[[nodiscard]] bool is_moe_layer(const ModelShape& model, int layer);

/// Projections of one attention block, biases, norms and sinks included.
[[nodiscard]] std::int64_t attention_parameters(const ModelShape& model);

/// One FFN of `width`: gate, up and down projections, or up and down.
[[nodiscard]] std::int64_t ffn_parameters(const ModelShape& model, int width, bool gated);

/// One routed expert, biases included.
[[nodiscard]] std::int64_t expert_parameters(const ModelShape& model);

/// One table of the input (or output) embedding.
[[nodiscard]] std::int64_t embedding_parameters(const ModelShape& model);

/// Parameters counted from the shape: embeddings, attention, norms, gate, experts, head.
/// Valid for: FFNs of two or three projections, dense layers without biases; qk_norm with one
/// weight vector of head_dim each (OLMoE's span all heads: 3,840 more a layer); no MTP layers.
/// Checked by: model_test.
[[nodiscard]] std::int64_t total_parameters(const ModelShape& model);

/// The same with top_k instead of num_experts routed experts a layer. Both embedding tables count;
/// publishers that leave the input table out (a look-up, not a product) subtract
/// embedding_parameters.
[[nodiscard]] std::int64_t active_parameters(const ModelShape& model);

}  // namespace moesim
