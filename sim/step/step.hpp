// SPDX-License-Identifier: Apache-2.0
// One step: a chain of MoE layers over all ranks, from routing to result.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/moe/capacity.hpp"
#include "sim/moe/dispatch.hpp"
#include "sim/moe/expert_cost.hpp"
#include "sim/moe/model.hpp"
#include "sim/moe/placement.hpp"
#include "sim/moe/routing.hpp"
#include "sim/network/network.hpp"
#include "sim/step/layer_tasks.hpp"
#include "sim/step/result.hpp"
#include "topology/cluster.hpp"
#include "topology/cut_bounds.hpp"
#include "topology/paths.hpp"

namespace moesim {

/// Everything a step depends on. Read-only while steps run, so threads share one.
struct StepModel {
  ModelShape model;
  Cluster cluster;
  CapacitySpec capacity;
  DispatchSpec dispatch;
  CostConstants constants;
  NetworkEngine engine = NetworkEngine::kFluid;
  double network_tolerance = 0.0;  ///< kFluid: see network_settings()
  Bytes message_chunk;             ///< kMessage: 0 for whole messages
  PathPolicy path_policy = PathPolicy::kEcmp;
  PathSpread path_spread = {};
  CutBounds cuts = {};                     ///< of the cluster at effective rates; empty: not asked
  std::vector<Placement> placements;       ///< by MoE layer
  const RoutingSource* routing = nullptr;  ///< outlives the model
  int ranks = 0;                           ///< rank r runs on GPU r
  int layers = 0;                          ///< MoE layers simulated, from the first
  std::uint64_t seed = 1;
};

/// Bytes/s of every link that ours can have: (capacity * health - background) * the calibrated
/// efficiency of its kind (scale-up, or scale-out for NIC and fabric links; PCIe stays nominal).
[[nodiscard]] std::vector<BytesPerSecond> effective_capacities(const Cluster& cluster,
                                                               const CostConstants& constants);

/// Simulates step `step`: every layer's routing, capacity, traffic and compute (layers in
/// parallel), then the chain of layers on one task graph. Deterministic at any thread count
/// (INV-6).
[[nodiscard]] StepResult simulate_step(const StepModel& model, int step);

}  // namespace moesim
