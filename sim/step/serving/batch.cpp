// SPDX-License-Identifier: Apache-2.0
#include "sim/step/serving/batch.hpp"

#include <numeric>
#include <utility>

#include "sim/core/check.hpp"

namespace moesim {

AttentionLoad BatchItem::load(Dtype kv_dtype) const {
  return {.kind = kind,
          .sequences = 1,
          .new_tokens = tokens,
          .context = first_token + tokens,
          .kv_dtype = kv_dtype};
}

std::int64_t tokens_of(const std::vector<BatchItem>& items) {
  return std::accumulate(
      items.begin(), items.end(), std::int64_t{0}, [](std::int64_t sum, const BatchItem& item) {
        return sum + item.tokens;
      });
}

std::vector<std::vector<AttentionLoad>> loads_of(const ServedBatch& batch, Dtype kv_dtype) {
  std::vector<std::vector<AttentionLoad>> loads(batch.size());
  for (std::size_t g = 0; g < batch.size(); ++g) {
    for (const BatchItem& item : batch[g]) {
      loads[g].push_back(item.load(kv_dtype));
    }
  }
  return loads;
}

BatchRouting::BatchRouting(const RequestRoutes& routes,
                           const ServedBatch& batch,
                           int tp,
                           std::vector<int> layers)
    : routes_(routes), batch_(batch), layers_(std::move(layers)), info_(routes.info()) {
  info_.layers = static_cast<int>(layers_.size());
  token_begin_.push_back(0);
  std::int64_t before = 0;
  for (const std::vector<BatchItem>& items : batch) {
    const std::int64_t tokens = tokens_of(items);
    for (int rank = 1; rank <= tp; ++rank) {
      token_begin_.push_back(static_cast<std::int32_t>(before + tokens * rank / tp));
    }
    before += tokens;
  }
  MOESIM_CHECK(before < (std::int64_t{1} << 31), "too many tokens in a step");
}

Routing BatchRouting::route(int /*step*/, int layer) const {
  Routing routing{.num_experts = info_.num_experts,
                  .top_k = info_.top_k,
                  .token_begin = token_begin_,
                  .experts = {},
                  .weights = {}};
  const auto slots = static_cast<std::size_t>(info_.top_k);
  routing.experts.resize(static_cast<std::size_t>(routing.num_tokens()) * slots);
  std::span<ExpertIndex> left(routing.experts);
  for (const std::vector<BatchItem>& items : batch_) {
    for (const BatchItem& item : items) {
      const auto mine = left.first(static_cast<std::size_t>(item.tokens) * slots);
      routes_.choose(
          item.request, layers_[static_cast<std::size_t>(layer)], item.first_token, mine);
      left = left.subspan(mine.size());
    }
  }
  return routing;
}

WholeStepResult simulate_batch(const WholeModel& whole,
                               const RequestRoutes* routes,
                               const ServedBatch& batch) {
  WholeModel model = whole;
  model.loads = loads_of(batch, whole.kv_dtype);
  if (routes == nullptr) {
    return simulate_whole_step(model, 0);
  }
  std::vector<int> layers(static_cast<std::size_t>(whole.step.layers));
  std::iota(layers.begin(), layers.end(), 0);
  const BatchRouting routing(*routes, batch, whole.parallel.tp, std::move(layers));
  model.step.routing = &routing;
  return simulate_whole_step(model, 0);
}

}  // namespace moesim
