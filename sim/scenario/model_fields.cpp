// SPDX-License-Identifier: Apache-2.0
// The keys of [model].
#include "sim/scenario/field_access.hpp"

namespace moesim {
namespace {

constexpr CountRange kExperts{.min = 0, .max = 65'534};  // ExpertIndex has 16 bits

// Words stand in the order of the enumerators.
constexpr std::string_view kDtypes[] = {"bf16", "fp8", "mxfp4", "fp32"};
constexpr std::string_view kAttentionKinds[] = {"gqa", "mla", "none"};

void attention_fields(Fields& f, AttentionShape& a) {
  f.begin(required("attention"));
  f.word(required("kind"), a.kind, kAttentionKinds);
  f.count(optional("heads"), a.heads, kMayBeZero);
  f.count(optional("kv_heads"), a.kv_heads, kMayBeZero);
  f.count(optional("head_dim"), a.head_dim, kMayBeZero);
  f.count(optional("q_lora_rank"), a.q_lora_rank, kMayBeZero);
  f.count(optional("kv_lora_rank"), a.kv_lora_rank, kMayBeZero);
  f.count(optional("rope_dim"), a.rope_dim, kMayBeZero);
  f.count(optional("nope_dim"), a.nope_dim, kMayBeZero);
  f.flag(optional("biases"), a.biases);
  f.flag(optional("qk_norm"), a.qk_norm);
  f.flag(optional("sinks"), a.sinks);
  f.count(optional("window"), a.window, kMayBeZero);
  f.count(optional("full_every"), a.full_every, kMayBeZero);
  f.end();
}

}  // namespace

std::span<const std::string_view> dtype_words() {
  return kDtypes;
}

void model_fields(Fields& f, ModelShape& m) {
  f.begin(required("model"));
  f.text(required("name"), m.name);
  f.count(required("hidden_size"), m.hidden_size, kAtLeastOne);
  f.count(required("layers"), m.layers, kLayers);
  f.count(required("moe_layers"), m.moe_layers, {.min = 0, .max = kLayers.max});
  f.count(optional("first_moe_layer"), m.first_moe_layer, kMayBeZero);
  f.count(optional("moe_interval"), m.moe_interval, kLayers);
  f.count(required("num_experts"), m.num_experts, kExperts);
  f.count(required("top_k"), m.top_k, kExperts);
  f.count(optional("shared_experts"), m.shared_experts, kMayBeZero);
  f.count(required("expert_width"), m.expert_width, kMayBeZero);
  f.count(optional("shared_expert_width"), m.shared_expert_width, kMayBeZero);
  f.count(optional("dense_width"), m.dense_width, kMayBeZero);
  f.count(required("vocabulary"), m.vocabulary, kAtLeastOne);
  f.flag(optional("tied_embeddings"), m.tied_embeddings);
  f.flag(optional("expert_biases"), m.expert_biases);
  f.flag(optional("router_bias"), m.router_bias);
  f.flag(optional("expert_gated"), m.expert_gated);
  f.flag(optional("dense_gated"), m.dense_gated);
  f.word(optional("weight_dtype"), m.weight_dtype, kDtypes);
  f.word(optional("dense_dtype"), m.dense_dtype, kDtypes);
  f.word(optional("dispatch_dtype"), m.dispatch_dtype, kDtypes);
  f.word(optional("combine_dtype"), m.combine_dtype, kDtypes);
  f.number(optional("published_total_parameters"),
           m.published_total_parameters,
           NumberRange::kNotNegative);
  f.number(optional("published_active_parameters"),
           m.published_active_parameters,
           NumberRange::kNotNegative);
  attention_fields(f, m.attention);
  f.end();
}

}  // namespace moesim
