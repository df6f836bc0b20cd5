// SPDX-License-Identifier: Apache-2.0
#include "sim/step/micro_batch.hpp"

#include "sim/core/check.hpp"

namespace moesim {
namespace {

/// Appends `width` values of each token in [from, to).
template <typename Value>
void append_rows(std::vector<Value>& to_values,
                 const std::vector<Value>& values,
                 std::int32_t from,
                 std::int32_t to,
                 int width) {
  if (!values.empty()) {
    to_values.insert(to_values.end(),
                     values.begin() + std::ptrdiff_t{from} * width,
                     values.begin() + std::ptrdiff_t{to} * width);
  }
}

}  // namespace

std::array<MicroBatch, 2> halves(const WholeModel& m) {
  MOESIM_CHECK(m.batch.tokens_per_rank >= 2, "a batch that can be cut");
  const PassLoad whole = pass_load(m);
  const std::int64_t sequences = whole.attention.sequences / m.parallel.tp;
  std::array<MicroBatch, 2> parts;
  for (MicroBatch& part : parts) {
    part.load = whole;
  }
  AttentionLoad& first = parts[0].load.attention;
  AttentionLoad& second = parts[1].load.attention;
  if (sequences >= 2) {
    first.sequences = sequences / 2 * m.parallel.tp;
    second.sequences = whole.attention.sequences - first.sequences;
    parts[0].load.head_rows = first.sequences;
    parts[1].load.head_rows = second.sequences;
  } else {
    first.new_tokens = whole.attention.new_tokens / 2;
    second.new_tokens = whole.attention.new_tokens - first.new_tokens;
    first.context -= second.new_tokens;
    parts[0].load.head_rows = 0;
  }
  for (MicroBatch& part : parts) {
    part.tokens = static_cast<std::int32_t>(part.load.attention.tokens() / m.parallel.tp);
  }
  parts[1].first_token = parts[0].tokens;
  return parts;
}

Routing tokens_of(const Routing& routing, std::int32_t first, std::int32_t tokens) {
  Routing part{.num_experts = routing.num_experts,
               .top_k = routing.top_k,
               .token_begin = {0},
               .experts = {},
               .weights = {},
               .num_candidates = routing.num_candidates};
  for (int r = 0; r < routing.num_ranks(); ++r) {
    const std::int32_t from = routing.token_begin[static_cast<std::size_t>(r)] + first;
    const std::int32_t to = from + tokens;
    MOESIM_CHECK(to <= routing.token_begin[static_cast<std::size_t>(r) + 1],
                 "tokens that the rank brings");
    append_rows(part.experts, routing.experts, from, to, routing.top_k);
    append_rows(part.weights, routing.weights, from, to, routing.top_k);
    append_rows(part.candidates, routing.candidates, from, to, routing.num_candidates);
    append_rows(
        part.candidate_weights, routing.candidate_weights, from, to, routing.num_candidates);
    part.token_begin.push_back(part.token_begin.back() + tokens);
  }
  return part;
}

}  // namespace moesim
