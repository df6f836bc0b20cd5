// SPDX-License-Identifier: Apache-2.0
// What others ask of a pack in memory; reading and writing are in pack_read.cpp and pack_write.cpp.
#include "sim/moe/traces/pack.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "sim/core/check.hpp"

namespace moesim::traces {
namespace {

template <typename T>
void widen_layer(const NpyArray& topk, std::size_t layer, std::vector<ExpertIndex>& ids) {
  const std::size_t slots = topk.size(2);
  const std::size_t row = topk.size(1) * slots;
  const std::byte* const data = topk.data().data();
  std::size_t out = 0;
  for (std::size_t token = 0; out < ids.size(); ++token) {
    for (std::size_t slot = 0; slot < slots; ++slot) {
      const T id = number_at<T>(data, token * row + layer * slots + slot);
      const bool fits = std::in_range<ExpertIndex>(id) && std::cmp_not_equal(id, kNoExpert);
      ids[out++] = fits ? static_cast<ExpertIndex>(id) : kNoExpert;
    }
  }
}

}  // namespace

std::vector<std::string> RoutePack::domains() const {
  std::set<std::string> names;
  for (const TraceSequence& sequence : sequences) {
    names.insert(sequence.domain);
  }
  return {names.begin(), names.end()};
}

std::vector<ExpertIndex> layer_ids(const NpyArray& topk, std::size_t layer) {
  return layer_ids(topk, layer, topk.shape()[0]);
}

std::vector<ExpertIndex> layer_ids(const NpyArray& topk,
                                   std::size_t layer,
                                   std::int64_t most_tokens) {
  MOESIM_CHECK(topk.axes() == 3 && layer < topk.size(1), "ids are [token, layer, slot]");
  const auto tokens = std::min(topk.shape()[0], most_tokens);
  std::vector<ExpertIndex> ids(static_cast<std::size_t>(tokens) * topk.size(2));
  const bool whole = visit_integer_type(
      topk.type(), [&](auto zero) { widen_layer<decltype(zero)>(topk, layer, ids); });
  MOESIM_CHECK(whole, "expert ids are whole numbers");
  return ids;
}

std::vector<std::int64_t> rank_counts(const RoutePack& pack,
                                      std::size_t step,
                                      std::size_t source_rank,
                                      std::size_t layer) {
  const NpyArray& counts = *pack.counts;
  const auto ranks = static_cast<std::size_t>(pack.source_ranks());
  const std::size_t layers = counts.size(counts.axes() - 2);
  const std::size_t experts = counts.size(counts.axes() - 1);
  MOESIM_CHECK(step < counts.size(0) && source_rank < ranks && layer < layers, "no such counts");
  const std::size_t first = ((step * ranks + source_rank) * layers + layer) * experts;
  std::vector<std::int64_t> row(experts);
  visit_integer_type(counts.type(), [&](auto zero) {
    for (std::size_t e = 0; e < experts; ++e) {
      row[e] = to_int64(number_at<decltype(zero)>(counts.data().data(), first + e));
    }
  });
  return row;
}

std::vector<std::int64_t> step_counts(const RoutePack& pack, std::size_t step, std::size_t layer) {
  std::vector<std::int64_t> sum(static_cast<std::size_t>(pack.header.experts));
  for (std::size_t rank = 0; rank < static_cast<std::size_t>(pack.source_ranks()); ++rank) {
    const std::vector<std::int64_t> row = rank_counts(pack, step, rank, layer);
    for (std::size_t e = 0; e < row.size(); ++e) {
      sum[e] += row[e];
    }
  }
  return sum;
}

}  // namespace moesim::traces
