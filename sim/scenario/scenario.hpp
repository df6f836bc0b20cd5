// SPDX-License-Identifier: Apache-2.0
// A scenario: everything one run depends on, as plain values. Field comments are the manual of the
// TOML keys; docs/scenario.md is written from them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "sim/moe/capacity.hpp"
#include "sim/moe/dispatch.hpp"
#include "sim/moe/expert_cost.hpp"
#include "sim/moe/model.hpp"
#include "sim/moe/placement.hpp"
#include "sim/moe/routing.hpp"
#include "sim/network/network.hpp"
#include "sim/step/layout.hpp"
#include "sim/step/memory.hpp"
#include "sim/step/money.hpp"
#include "sim/step/serving/serving_spec.hpp"
#include "topology/cluster.hpp"
#include "topology/faults.hpp"
#include "topology/paths.hpp"

namespace moesim {

/// [network]
struct NetworkSpec {
  NetworkEngine engine = NetworkEngine::kFluid;
  double tolerance = 0.0;  ///< kFluid: largest relative lateness of a phase's flows; 0: exact
  Bytes chunk;             ///< kMessage: of a message at a time; 0: whole messages
  PathPolicy paths = PathPolicy::kEcmp;
  PathSpread spread;  ///< path_choice and max_paths
};

/// [step]
struct StepSpec {
  StepKind kind = StepKind::kMoeLayers;
  int layers = 0;  ///< MoE layers simulated, the first ones; 0: all of the model
  Overlap overlap = Overlap::kNone;
  int samples = 1;                ///< train: routings that the micro-batches take turns with
  bool overlap_gradients = true;  ///< train: gradients are reduced during the backward passes
  Schedule schedule = Schedule::kOneForwardOneBackward;  ///< train: of the pipeline
  Seconds host_layer;  ///< the host takes this long to issue a layer's forward pass; 0: no time
};

struct Scenario {
  std::uint64_t seed = 1;
  ModelShape model;
  ClusterSpec cluster;
  FaultSpec faults;
  ParallelSpec parallel;
  BatchSpec batch;
  RequestSpec requests;  ///< path made absolute or relative to the working directory
  RoutingSpec routing;   ///< trace path made absolute or relative to the working directory
  CapacitySpec capacity;
  PlacementSpec placement;
  DispatchSpec dispatch;
  NetworkSpec network;
  StepSpec step;
  MemorySpec memory;
  PriceSpec price;
  CostConstants calibration;

  std::vector<std::filesystem::path> inputs;  ///< every file read for it, in order of reading
};

/// One "--set path.to.key=value": value is TOML; a bare word is taken as a string.
using Override = std::string;

/// Reads, merges presets, applies overrides, checks every key and every pair of keys that can
/// contradict. Throws UserError with all mistakes at once, EnvironmentError if a file cannot be
/// read.
[[nodiscard]] Scenario load_scenario(const std::filesystem::path& file,
                                     const std::vector<Override>& overrides);

/// The scenario as TOML that loads back to the same values: no presets, every key written.
[[nodiscard]] std::string resolved_toml(const Scenario& scenario);

}  // namespace moesim
