// SPDX-License-Identifier: Apache-2.0
// Where a pack's load lies: by rank of an EP group, by expert, over its steps.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/core/pace.hpp"
#include "sim/moe/traces/pack.hpp"
#include "sim/moe/traces/skew.hpp"

namespace moesim::cli {

struct TraceLoad {
  /// (max - mean) / mean over EP ranks with equal blocks of consecutive experts, over layers.
  struct Degree {
    int ranks = 0;
    traces::Spread imbalance;
  };
  /// Total variation of a layer's load from a step to the one `steps` later, over layers and steps.
  struct Drift {
    std::int64_t steps = 0;
    traces::Spread distance;
  };
  std::vector<std::vector<std::int64_t>> load;  ///< [layer][expert] over the whole pack
  std::vector<Degree> degrees;                  ///< 2, 4, ... ranks that divide the experts
  std::vector<Drift> drift;                     ///< of a counts pack: 1, 10, 100, ... steps
};

[[nodiscard]] TraceLoad measure_load(const traces::RoutePack& pack, const Pace& pace = {});

/// The tables of degrees and drift, the hottest experts, and a heat map of layers x experts.
[[nodiscard]] std::string load_text(const TraceLoad& load);

}  // namespace moesim::cli
