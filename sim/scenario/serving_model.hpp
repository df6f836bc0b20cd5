// SPDX-License-Identifier: Apache-2.0
// From a checked scenario of serving to what runs it.
#pragma once

#include <memory>
#include <string>
#include <vector>

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
[[nodiscard]] ServingModel serving_model(const Scenario& scenario);

}  // namespace moesim
