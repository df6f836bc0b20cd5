// SPDX-License-Identifier: Apache-2.0
#include "sim/step/serving/kv_space.hpp"

#include <algorithm>
#include <cmath>

namespace moesim {
namespace {

constexpr std::int64_t kUnlimited = std::int64_t{1} << 50;

/// Of a step of `tokens` tokens of an attention group, without its cache.
Bytes without_cache(MemoryModel model, StepKind kind, int tokens) {
  model.kind = kind;
  model.batch.tokens_per_rank = (tokens + model.parallel.tp - 1) / model.parallel.tp;
  model.batch.context_tokens = model.batch.tokens_per_rank;
  const MemoryBill bill = largest_bill(model);
  return bill.total() - bill.of(MemoryPart::kKvCache);
}

}  // namespace

KvSpace kv_space(const MemoryModel& model, const RequestSpec& spec) {
  KvSpace space;
  space.fixed = std::max(without_cache(model, StepKind::kPrefill, spec.max_batch_tokens),
                         without_cache(model, StepKind::kDecode, spec.max_sequences));
  const auto elements =
      static_cast<double>(kv_elements(attention_share(model.model.attention, model.parallel.tp)));
  space.per_token = bytes(elements * model.model.layers * bytes_per_element(model.memory.kv_dtype));
  if (space.fixed > model.capacity) {
    return space;
  }
  space.tokens =
      space.per_token.value == 0
          ? kUnlimited
          : static_cast<std::int64_t>(std::floor((model.capacity - space.fixed) / space.per_token));
  return space;
}

}  // namespace moesim
