// SPDX-License-Identifier: Apache-2.0
// The shape of a model: what the cost models and the dispatchers need, and its parameter count.
#pragma once

#include <cstdint>
#include <string>

namespace moesim {

enum class Dtype { kBf16, kFp8, kMxfp4, kFp32 };

/// Bytes per element, block scales not counted (mxfp4: 0.5).
[[nodiscard]] double bytes_per_element(Dtype dtype);

enum class AttentionKind { kGqa, kMla };

/// Attention widths; used for parameter counts. Zero where the kind has no such part.
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
};

/// A decoder-only MoE model. Widths in elements.
struct ModelShape {
  std::string name;
  int hidden_size = 0;
  int layers = 0;  ///< decoder layers, dense ones included
  int moe_layers = 0;
  int first_moe_layer = 0;  ///< index of the first MoE layer in the model
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
  AttentionShape attention;
  Dtype weight_dtype = Dtype::kBf16;      ///< of the routed experts' weights
  Dtype dispatch_dtype = Dtype::kBf16;    ///< payload of the dispatch
  Dtype combine_dtype = Dtype::kBf16;     ///< payload of the combine
  double published_total_parameters = 0;  ///< 0 where none is published
  double published_active_parameters = 0;
};

/// Parameters counted from the shape: embeddings, attention, norms, gate, experts, head.
[[nodiscard]] std::int64_t total_parameters(const ModelShape& model);
/// The same with top_k instead of num_experts routed experts a layer.
[[nodiscard]] std::int64_t active_parameters(const ModelShape& model);

}  // namespace moesim
