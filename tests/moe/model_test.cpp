// SPDX-License-Identifier: Apache-2.0
// The presets, read as they lie, count to the totals their publishers print.
#include "sim/moe/model.hpp"

#include <gtest/gtest.h>
#include <toml++/toml.h>

#include <algorithm>
#include <string>

namespace moesim {
namespace {

Dtype dtype_of(const std::string& word) {
  return word == "fp8" ? Dtype::kFp8 : word == "mxfp4" ? Dtype::kMxfp4 : Dtype::kBf16;
}

int number(const toml::table& table, const char* key) {
  return table[key].value_or(0);
}
bool flag(const toml::table& table, const char* key, bool fallback = false) {
  return table[key].value_or(fallback);
}

AttentionShape attention_of(const toml::table& t) {
  const std::string kind = t["kind"].value_or(std::string());
  return {.kind = kind == "mla"    ? AttentionKind::kMla
                  : kind == "none" ? AttentionKind::kNone
                                   : AttentionKind::kGqa,
          .heads = number(t, "heads"),
          .kv_heads = number(t, "kv_heads"),
          .head_dim = number(t, "head_dim"),
          .q_lora_rank = number(t, "q_lora_rank"),
          .kv_lora_rank = number(t, "kv_lora_rank"),
          .rope_dim = number(t, "rope_dim"),
          .nope_dim = number(t, "nope_dim"),
          .biases = flag(t, "biases"),
          .qk_norm = flag(t, "qk_norm"),
          .sinks = flag(t, "sinks")};
}

ModelShape preset(const std::string& name) {
  const toml::table t =
      toml::parse_file(std::string(MOESIM_SOURCE_DIR) + "/scenarios/models/" + name + ".toml");
  ModelShape m;
  m.name = t["name"].value_or(std::string());
  m.hidden_size = number(t, "hidden_size");
  m.layers = number(t, "layers");
  m.moe_layers = number(t, "moe_layers");
  m.first_moe_layer = number(t, "first_moe_layer");
  m.moe_interval = t["moe_interval"].value_or(1);
  m.num_experts = number(t, "num_experts");
  m.top_k = number(t, "top_k");
  m.shared_experts = number(t, "shared_experts");
  m.expert_width = number(t, "expert_width");
  m.shared_expert_width = number(t, "shared_expert_width");
  m.dense_width = number(t, "dense_width");
  m.vocabulary = number(t, "vocabulary");
  m.tied_embeddings = flag(t, "tied_embeddings");
  m.expert_biases = flag(t, "expert_biases");
  m.router_bias = flag(t, "router_bias");
  m.expert_gated = flag(t, "expert_gated", true);
  m.dense_gated = flag(t, "dense_gated", true);
  m.attention = attention_of(*t["attention"].as_table());
  m.weight_dtype = dtype_of(t["weight_dtype"].value_or(std::string()));
  m.published_total_parameters = t["published_total_parameters"].value_or(0.0);
  m.published_active_parameters = t["published_active_parameters"].value_or(0.0);
  return m;
}

/// One published pair and how the publisher counts. A tolerance is 1 % or one unit of the last
/// digit printed, whichever is more: some publishers round (V3: 36.6 to 37), some truncate
/// (V2-Lite: 2.45 to 2.4; Qwen3-30B: 3.35 to 3.3).
struct Published {
  const char* name;
  double last_total_digit;
  double last_active_digit;
  bool active_counts_input_embedding;
};

class Presets : public testing::TestWithParam<Published> {};

TEST_P(Presets, CountToThePublishedTotals) {
  const Published& p = GetParam();
  const ModelShape m = preset(p.name);
  ASSERT_EQ(m.name, p.name);
  if (m.moe_layers > 0) {
    EXPECT_TRUE(is_moe_layer(m, m.layers - 1));
  }
  EXPECT_NEAR(static_cast<double>(total_parameters(m)),
              m.published_total_parameters,
              std::max(0.01 * m.published_total_parameters, p.last_total_digit));
  ASSERT_EQ(m.published_active_parameters > 0, p.last_active_digit > 0);
  if (p.last_active_digit == 0) {
    return;  // no count of active parameters is published
  }
  const std::int64_t active =
      active_parameters(m) - (p.active_counts_input_embedding ? 0 : embedding_parameters(m));
  EXPECT_NEAR(static_cast<double>(active),
              m.published_active_parameters,
              std::max(0.01 * m.published_active_parameters, p.last_active_digit));
}

INSTANTIATE_TEST_SUITE_P(Published,
                         Presets,
                         testing::Values(Published{"deepseek-v2-lite", 1e8, 1e8, false},
                                         Published{"deepseek-v3", 1e9, 1e9, false},
                                         Published{"mixtral-8x7b", 1e8, 1e8, true},
                                         Published{"qwen3-30b-a3b", 1e8, 1e8, true},
                                         Published{"qwen3-235b-a22b", 1e9, 1e9, true},
                                         Published{"gpt-oss-20b", 1e8, 1e8, false},
                                         Published{"gpt-oss-120b", 1e8, 1e8, false},
                                         Published{"olmoe-1b-7b", 1e8, 1e8, true},
                                         Published{"glam-64b-64e", 1e11, 1e8, true},
                                         Published{"switch-c-2048", 1e9, 0, true},
                                         Published{"grok-1", 1e9, 0, true},
                                         Published{"deepseek-moe-16b", 1e8, 1e8, true},
                                         Published{"kimi-k2", 2e10, 1e9, false},
                                         Published{"llama-3-8b", 1e8, 1e8, true},
                                         Published{"llama-3-70b", 1e8, 1e8, true}),
                         [](const auto& preset_info) {
                           std::string name = preset_info.param.name;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// hidden 4, 1 layer, 2 experts of width 3, vocabulary 5, one head of 4, tied:
// 5*4 embedding + 4 norm + (4*4*4 attention + 2*4 norms) + 4*2 gate + 2 * 3*4*3 experts = 176;
// with top_k = 1, one expert of 36 less.
TEST(ModelShape, CountsATinyModelByHand) {
  ModelShape m;
  m.hidden_size = 4;
  m.layers = m.moe_layers = 1;
  m.num_experts = 2;
  m.top_k = 1;
  m.expert_width = 3;
  m.vocabulary = 5;
  m.tied_embeddings = true;
  m.attention = {.kind = AttentionKind::kGqa, .heads = 1, .kv_heads = 1, .head_dim = 4};
  EXPECT_EQ(total_parameters(m), 176);
  EXPECT_EQ(active_parameters(m), 140);
}

// Without a gate an expert has two projections, 2*4*3 = 24 parameters instead of 36, with biases
// 3 + 4 more; without attention its 4*4*4 and the norm before it go.
TEST(ModelShape, CountsExpertsWithoutGateAndLayersWithoutAttention) {
  ModelShape m;
  m.hidden_size = 4;
  m.layers = m.moe_layers = 1;
  m.num_experts = 2;
  m.top_k = 1;
  m.expert_width = 3;
  m.vocabulary = 5;
  m.tied_embeddings = true;
  m.attention = {.kind = AttentionKind::kNone};
  m.expert_gated = false;
  EXPECT_EQ(expert_parameters(m), 24);
  EXPECT_EQ(total_parameters(m), 20 + 4 + 4 + 8 + 2 * 24);
  m.expert_biases = true;
  EXPECT_EQ(expert_parameters(m), 24 + 7);
}

// GLaM: every other of 64 layers, from the second on.
TEST(ModelShape, MoeLayersMayBeApart) {
  const ModelShape m = preset("glam-64b-64e");
  EXPECT_FALSE(is_moe_layer(m, 0));
  EXPECT_TRUE(is_moe_layer(m, 1));
  EXPECT_FALSE(is_moe_layer(m, 62));
  EXPECT_TRUE(is_moe_layer(m, 63));
  int count = 0;
  for (int layer = 0; layer < m.layers; ++layer) {
    count += is_moe_layer(m, layer) ? 1 : 0;
  }
  EXPECT_EQ(count, m.moe_layers);
}

TEST(ModelShape, ADenseModelHasNoMoeLayer) {
  const ModelShape m = preset("llama-3-8b");
  EXPECT_FALSE(is_moe_layer(m, 0));
  EXPECT_EQ(total_parameters(m), active_parameters(m));
}

TEST(Dtype, StoredWeightsCarryTheirBlockScales) {
  EXPECT_DOUBLE_EQ(bytes_per_element(Dtype::kMxfp4), 0.5);
  EXPECT_DOUBLE_EQ(stored_bytes_per_weight(Dtype::kMxfp4), 4.25 / 8);
  EXPECT_DOUBLE_EQ(stored_bytes_per_weight(Dtype::kBf16), 2.0);
  EXPECT_EQ(activation_row_bytes(7168, Dtype::kFp8), 7392);
  EXPECT_EQ(activation_row_bytes(129, Dtype::kFp8), 129 + 8);
}

}  // namespace
}  // namespace moesim
