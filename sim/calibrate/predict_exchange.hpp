// SPDX-License-Identifier: Apache-2.0
// One measured dispatch, combine or collective, predicted by the flows that a step runs.
#pragma once

#include <memory>

#include "sim/calibrate/point.hpp"
#include "sim/moe/routing.hpp"
#include "sim/step/exchange.hpp"

namespace moesim::calibrate {

/// A communication kernel under benchmark: setup and the transfers it makes, prepared once.
struct ExchangeWork {
  std::shared_ptr<const Cluster> cluster;
  DispatchSpec dispatch;
  int ranks = 0;
  LayerTraffic traffic;
  bool combine = false;
};

/// Transfers of a routing under the dispatcher; byte and message counts times `repeat`, which
/// stands for a routing `repeat` times as long.
[[nodiscard]] ExchangeWork prepare_exchange(std::shared_ptr<const Cluster> cluster,
                                            const DispatchSpec& dispatch,
                                            const Routing& routing,
                                            CopyBytes copy,
                                            std::int64_t repeat = 1);

/// An all-to-all of collective library: every rank sends bytes_each to every other, one message.
[[nodiscard]] ExchangeWork prepare_all_to_all(std::shared_ptr<const Cluster> cluster,
                                              int ranks,
                                              std::int64_t bytes_each);

/// Bytes of the phase's transfers over the ranks: what the fit's range is about.
[[nodiscard]] double bytes_per_rank(const ExchangeWork& work);

/// time_dispatch or time_combine. Published combines sum the returned rows themselves, so their
/// calibrations say combine_sums and a step adds no kernel for it.
[[nodiscard]] Seconds predict_exchange(const ExchangeWork& work, const CostConstants& constants);

}  // namespace moesim::calibrate
