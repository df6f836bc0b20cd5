// SPDX-License-Identifier: Apache-2.0
// What one EP group processes in one step, request by request, and its routing.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/moe/request_routes.hpp"
#include "sim/step/whole_step.hpp"

namespace moesim {

/// Consecutive tokens of one request.
struct BatchItem {
  std::int64_t request = 0;
  std::int64_t first_token = 0;       ///< also how many of its tokens the cache holds
  std::int64_t tokens = 0;            ///< 1 when it decodes
  StepKind kind = StepKind::kDecode;  ///< or kPrefill

  [[nodiscard]] AttentionLoad load(Dtype kv_dtype) const;
};

/// By attention group (TP group).
using ServedBatch = std::vector<std::vector<BatchItem>>;

[[nodiscard]] std::int64_t tokens_of(const std::vector<BatchItem>& items);

/// One load an item.
[[nodiscard]] std::vector<std::vector<AttentionLoad>> loads_of(const ServedBatch& batch,
                                                               Dtype kv_dtype);

/// The routing of a batch: each item's tokens as `routes` has them, in order. The T tokens of an
/// attention group lie on its tp ranks as WholeModel::loads says. Layer l of the source is layer
/// layers[l] of the routes. Both must outlive it.
class BatchRouting final : public RoutingSource {
 public:
  BatchRouting(const RequestRoutes& routes,
               const ServedBatch& batch,
               int tp,
               std::vector<int> layers);
  [[nodiscard]] const RoutingSourceInfo& info() const override { return info_; }
  [[nodiscard]] Routing route(int step, int layer) const override;

 private:
  const RequestRoutes& routes_;
  const ServedBatch& batch_;
  std::vector<int> layers_;
  std::vector<std::int32_t> token_begin_;
  RoutingSourceInfo info_;
};

/// The whole step of a batch: every layer, every token where its own request sends it.
/// @param routes  null for a dense model
[[nodiscard]] WholeStepResult simulate_batch(const WholeModel& whole,
                                             const RequestRoutes* routes,
                                             const ServedBatch& batch);

}  // namespace moesim
