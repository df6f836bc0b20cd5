// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/routing_memo.hpp"

#include <vector>

namespace moesim {
namespace {

template <typename T>
std::int64_t size_of(const std::vector<T>& values) {
  return static_cast<std::int64_t>(values.size() * sizeof(T));
}

}  // namespace

Routing RoutingMemo::route(int step, int layer) const {
  Kept* kept = nullptr;
  {
    const std::scoped_lock lock(mutex_);
    if (bytes_ < most_bytes_ || kept_.contains({step, layer})) {
      kept = &kept_[{step, layer}];
    }
  }
  if (kept == nullptr) {
    return source_->route(step, layer);
  }
  std::call_once(kept->once, [&] {
    kept->routing = source_->route(step, layer);
    const Routing& routing = kept->routing;
    bytes_ += size_of(routing.token_begin) + size_of(routing.experts) + size_of(routing.weights) +
              size_of(routing.candidates) + size_of(routing.candidate_weights);
  });
  return kept->routing;
}

}  // namespace moesim
