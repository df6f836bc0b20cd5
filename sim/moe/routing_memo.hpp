// SPDX-License-Identifier: Apache-2.0
// Routings kept for many simulations that use the same ones.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "sim/moe/routing.hpp"

namespace moesim {

/// A source that asks another one for each (step, layer) once, whoever asks how often.
class RoutingMemo final : public RoutingSource {
 public:
  /// @param most_bytes  from which on routings are handed on without being kept
  RoutingMemo(std::unique_ptr<RoutingSource> source, std::int64_t most_bytes)
      : source_(std::move(source)), most_bytes_(most_bytes) {}

  [[nodiscard]] const RoutingSourceInfo& info() const override { return source_->info(); }
  [[nodiscard]] Routing route(int step, int layer) const override;
  /// What it holds.
  [[nodiscard]] std::int64_t bytes() const { return bytes_.load(); }

 private:
  struct Kept {
    std::once_flag once;
    Routing routing;
  };

  std::unique_ptr<RoutingSource> source_;
  std::int64_t most_bytes_;
  mutable std::mutex mutex_;
  mutable std::map<std::pair<int, int>, Kept> kept_;  ///< by step and layer
  mutable std::atomic<std::int64_t> bytes_{0};
};

}  // namespace moesim
