// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/model.hpp"

#include "sim/core/check.hpp"

namespace moesim {
namespace {

using Count = std::int64_t;

Count gqa_parameters(const AttentionShape& a, Count hidden) {
  const Count query_width = Count{a.heads} * a.head_dim;
  const Count kv_width = Count{a.kv_heads} * a.head_dim;
  Count count = 2 * hidden * query_width + 2 * hidden * kv_width;
  if (a.biases) {
    count += query_width + 2 * kv_width + hidden;
  }
  return count;
}

/// Down- and up-projections of the latent query and key/value, each latent with its RMS norm; the
/// rotary part of the key is shared by all heads.
Count mla_parameters(const AttentionShape& a, Count hidden) {
  const Count query_width = Count{a.heads} * (a.nope_dim + a.rope_dim);
  const Count kv_width = Count{a.heads} * (a.nope_dim + a.head_dim);
  const Count query = a.q_lora_rank == 0
                          ? hidden * query_width
                          : hidden * a.q_lora_rank + a.q_lora_rank + a.q_lora_rank * query_width;
  const Count key_value =
      hidden * (Count{a.kv_lora_rank} + a.rope_dim) + a.kv_lora_rank + a.kv_lora_rank * kv_width;
  const Count output = Count{a.heads} * a.head_dim * hidden;
  return query + key_value + output;
}

Count moe_layer_parameters(const ModelShape& m, Count routed_experts) {
  const Count hidden = m.hidden_size;
  Count count = routed_experts * expert_parameters(m);
  count += m.shared_experts * ffn_parameters(m, m.shared_expert_width, m.expert_gated);
  count += hidden * m.num_experts;
  if (m.router_bias) {
    count += m.num_experts;
  }
  return count;
}

Count count_parameters(const ModelShape& m, Count routed_experts) {
  MOESIM_CHECK(m.moe_layers <= m.layers, "a model has at most as many MoE layers as layers");
  const Count hidden = m.hidden_size;
  const Count final_norm = hidden;
  Count count = embedding_parameters(m) * (m.tied_embeddings ? 1 : 2) + final_norm;
  const Count norms = m.attention.kind == AttentionKind::kNone ? hidden : 2 * hidden;
  count += m.layers * (attention_parameters(m) + norms);
  count += m.moe_layers * moe_layer_parameters(m, routed_experts);
  count += (m.layers - m.moe_layers) * ffn_parameters(m, m.dense_width, m.dense_gated);
  return count;
}

}  // namespace

std::string_view to_text(Dtype dtype) {
  switch (dtype) {
    case Dtype::kBf16:
      return "bf16";
    case Dtype::kFp8:
      return "fp8";
    case Dtype::kMxfp4:
      return "mxfp4";
    case Dtype::kFp32:
      return "fp32";
  }
  MOESIM_CHECK(false, "unknown dtype");
}

double bytes_per_element(Dtype dtype) {
  switch (dtype) {
    case Dtype::kBf16:
      return 2.0;
    case Dtype::kFp8:
      return 1.0;
    case Dtype::kMxfp4:
      return 0.5;
    case Dtype::kFp32:
      return 4.0;
  }
  MOESIM_CHECK(false, "unknown dtype");
}

double stored_bytes_per_weight(Dtype dtype) {
  switch (dtype) {
    case Dtype::kFp8:
      return bytes_per_element(dtype) + 4.0 / (128.0 * 128.0);
    case Dtype::kMxfp4:
      return bytes_per_element(dtype) + 1.0 / 32.0;
    case Dtype::kBf16:
    case Dtype::kFp32:
      return bytes_per_element(dtype);
  }
  MOESIM_CHECK(false, "unknown dtype");
}

std::int64_t activation_row_bytes(std::int64_t elements, Dtype dtype) {
  MOESIM_CHECK(elements >= 0, "a row has no negative width");
  switch (dtype) {
    case Dtype::kBf16:
      return 2 * elements;
    case Dtype::kFp32:
      return 4 * elements;
    case Dtype::kFp8:
      return elements + activation_scale_bytes(elements, dtype);
    case Dtype::kMxfp4:
      return (elements + 1) / 2 + activation_scale_bytes(elements, dtype);
  }
  MOESIM_CHECK(false, "unknown dtype");
}

std::int64_t activation_scale_bytes(std::int64_t elements, Dtype dtype) {
  switch (dtype) {
    case Dtype::kFp8:
      return (elements + 127) / 128 * 4;
    case Dtype::kMxfp4:
      return (elements + 31) / 32;
    case Dtype::kBf16:
    case Dtype::kFp32:
      return 0;
  }
  MOESIM_CHECK(false, "unknown dtype");
}

double windowed_share(const AttentionShape& attention) {
  if (attention.window == 0) {
    return 0;
  }
  return attention.full_every == 0 ? 1 : 1 - 1.0 / attention.full_every;
}

bool is_moe_layer(const ModelShape& model, int layer) {
  const int from_first = layer - model.first_moe_layer;
  return from_first >= 0 && from_first % model.moe_interval == 0 &&
         from_first / model.moe_interval < model.moe_layers;
}

std::int64_t attention_parameters(const ModelShape& model) {
  const AttentionShape& a = model.attention;
  if (a.kind == AttentionKind::kNone) {
    return 0;
  }
  Count count = a.kind == AttentionKind::kMla ? mla_parameters(a, model.hidden_size)
                                              : gqa_parameters(a, model.hidden_size);
  if (a.qk_norm) {
    count += 2 * Count{a.head_dim};
  }
  if (a.sinks) {
    count += a.heads;
  }
  return count;
}

std::int64_t ffn_parameters(const ModelShape& model, int width, bool gated) {
  return (gated ? 3 : 2) * Count{model.hidden_size} * width;
}

std::int64_t expert_parameters(const ModelShape& model) {
  const Count biases = (model.expert_gated ? 2 : 1) * Count{model.expert_width} + model.hidden_size;
  return ffn_parameters(model, model.expert_width, model.expert_gated) +
         (model.expert_biases ? biases : 0);
}

std::int64_t embedding_parameters(const ModelShape& model) {
  return std::int64_t{model.vocabulary} * model.hidden_size;
}

std::int64_t total_parameters(const ModelShape& model) {
  return count_parameters(model, model.num_experts);
}

std::int64_t active_parameters(const ModelShape& model) {
  return count_parameters(model, model.top_k);
}

}  // namespace moesim
