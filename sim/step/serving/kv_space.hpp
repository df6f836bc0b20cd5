// SPDX-License-Identifier: Apache-2.0
// How many tokens' keys and values fit beside the weights.
#pragma once

#include <cstdint>

#include "sim/step/memory.hpp"
#include "sim/step/serving/serving_spec.hpp"

namespace moesim {

struct KvSpace {
  Bytes fixed;              ///< of a rank: all but the KV cache
  Bytes per_token;          ///< of a rank, a token of its attention group
  std::int64_t tokens = 0;  ///< that an attention group holds at most; 0: not one
};

/// tokens = floor((capacity - fixed) / per_token). fixed is the larger of the two bills
/// (memory.hpp) without KV cache of a prefill step of max_batch_tokens and of a decode step of
/// max_sequences, tokens divided by tp; per_token = layers * kv elements of 1/tp of the heads *
/// bytes of kv_dtype: every rank of an attention group caches all tokens of the group.
/// @param model  kind and batch are not looked at
/// Valid for: caches without blocks (a paged one loses half a block a request). Without a cache
/// (attention none) there is no limit. Checked by: kv_space_test.
[[nodiscard]] KvSpace kv_space(const MemoryModel& model, const RequestSpec& spec);

}  // namespace moesim
