// SPDX-License-Identifier: Apache-2.0
#include "sim/step/layout.hpp"

#include <algorithm>

#include "sim/core/check.hpp"

namespace moesim {

std::int64_t sequences_per_rank(StepKind kind, const BatchSpec& batch) {
  if (kind == StepKind::kDecode) {
    return batch.tokens_per_rank;
  }
  MOESIM_CHECK(batch.context_tokens > 0, "a whole model's step has sequences");
  return std::max(1, batch.tokens_per_rank / batch.context_tokens);
}

StageLayers part_layers(const ModelShape& model, const ParallelSpec& parallel, int part) {
  const std::int64_t parts = std::int64_t{parallel.pp} * parallel.virtual_stages;
  const auto begin = [&](int p) {
    return static_cast<int>(std::int64_t{model.layers} * p / parts);
  };
  return {begin(part), begin(part + 1)};
}

std::vector<StageLayers> stage_layers(const ModelShape& model,
                                      const ParallelSpec& parallel,
                                      int stage) {
  std::vector<StageLayers> layers;
  for (int v = 0; v < parallel.virtual_stages; ++v) {
    layers.push_back(part_layers(model, parallel, v * parallel.pp + stage));
  }
  return layers;
}

AttentionShape attention_share(const AttentionShape& attention, int tp) {
  AttentionShape share = attention;
  share.heads = (attention.heads + tp - 1) / tp;
  share.kv_heads = (attention.kv_heads + tp - 1) / tp;
  return share;
}

std::int64_t kv_elements(const AttentionShape& attention) {
  switch (attention.kind) {
    case AttentionKind::kGqa:
      return 2 * std::int64_t{attention.kv_heads} * attention.head_dim;
    case AttentionKind::kMla:
      return std::int64_t{attention.kv_lora_rank} + attention.rope_dim;
    case AttentionKind::kNone:
      return 0;
  }
  MOESIM_CHECK(false, "unknown attention");
}

}  // namespace moesim
