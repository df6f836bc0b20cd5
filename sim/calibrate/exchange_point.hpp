// SPDX-License-Identifier: Apache-2.0
// Points of dispatch and combine, from whatever file told of them.
#pragma once

#include <string>
#include <utility>

#include "sim/calibrate/point.hpp"
#include "sim/calibrate/predict_exchange.hpp"
#include "sim/calibrate/reading.hpp"

namespace moesim::calibrate {

/// What a benchmark of dispatch and combine did.
struct Exchange {
  std::string kernel;
  DispatcherKind dispatcher = DispatcherKind::kPairwise;
  bool scale_up = true;
  bool balanced = false;  ///< balanced_routing, else uniform_routing
  int ranks = 0;
  int tokens = 0;  ///< of one rank
  int hidden = 0;
  int top_k = 0;
  int experts = 0;
  CopyBytes copy;
};

/// FP8 dispatch and BF16 combine, as DeepEP's own benchmarks.
[[nodiscard]] CopyBytes fp8_copy(const Exchange& exchange);

/// The pair of works (dispatch, combine) of one exchange; long routings are halved and repeated.
[[nodiscard]] std::pair<ExchangeWork, ExchangeWork> works_of(const Exchange& exchange,
                                                             Hardware& hardware,
                                                             int sms);

/// Its source is the caller's to add.
[[nodiscard]] Point exchange_point(std::string place,
                                   const Exchange& exchange,
                                   ExchangeWork work,
                                   Seconds measured);

}  // namespace moesim::calibrate
