// SPDX-License-Identifier: Apache-2.0
// From a checked scenario of serving to what runs it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sim/core/pace.hpp"
#include "sim/moe/request_routes.hpp"
#include "sim/scenario/assemble.hpp"
#include "sim/step/serving/kv_space.hpp"
#include "sim/step/serving/serve.hpp"

namespace moesim {

struct ServingModel {
  Assembly assembly;                      ///< owns what `whole` refers to; its step is moved there
  std::unique_ptr<RequestRoutes> routes;  ///< null in a dense model
  WholeModel whole;                       ///< of one EP group, on the first GPUs
  Arrivals arrivals;
  KvSpace kv;
  ServingSetup setup;
  std::vector<std::string> notes;
};

/// Reads the arrivals, opens the routes, finds how much the cache holds. Throws UserError: what
/// assemble_serving and read_arrivals throw; weights that leave no room for a cache; a routing that
/// does not fit the model.
/// @param pace  hears of the reading and checking of a trace
[[nodiscard]] ServingModel serving_model(const Scenario& scenario, const Pace& pace = {});

/// What is known of a run of serving before it runs.
struct ServingLimits {
  /// No run yields more tokens/s, prompts and outputs of counted requests over the time that
  /// counts:
  ///   tokens of the requests that arrive at warm_up or later and that a group could hold
  ///   / (arrival of the last of them - warm_up)
  /// Proof: exactly these are counted, and the last of them does not end before it arrives.
  /// Infinite where the last of them arrives at warm_up. Checked by: cli_plan_test (by hand; no
  /// simulation beats it).
  double most_tokens_per_s = 0;
  double memory_ratio = 0;  ///< of a GPU's memory that is taken with a full cache
};
/// Throws UserError as serving_model does for arrivals and for weights without room for a cache.
[[nodiscard]] ServingLimits serving_limits(const Scenario& scenario);

}  // namespace moesim
