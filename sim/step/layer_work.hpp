// SPDX-License-Identifier: Apache-2.0
// What one layer of one step has to do, before any clock runs: routing, capacity, traffic, compute.
#pragma once

#include <vector>

#include "sim/moe/capacity_ladder.hpp"
#include "sim/moe/routing.hpp"
#include "sim/step/layer_tasks.hpp"
#include "sim/step/result.hpp"
#include "sim/step/step.hpp"
#include "sim/step/step_memo.hpp"

namespace moesim {

/// The work of a layer and the part of its result that needs no clock (loads, drops, bytes, hot
/// spots).
struct PreparedLayer {
  LayerWork work;
  LayerResult result;
  RoutingDigest routing;  ///< by prepare_layer
};

[[nodiscard]] PreparedLayer prepare_layer(const StepModel& model, int step, int layer);

/// The same from a routing of the layer.
[[nodiscard]] PreparedLayer prepare_routed(const StepModel& model,
                                           int layer,
                                           const Routing& routing);

/// The same from a routing whose accepted assignments are counted already; `capacity` instead of
/// the model's.
[[nodiscard]] PreparedLayer prepare_counted(const StepModel& model,
                                            const CapacitySpec& capacity,
                                            int layer,
                                            const Routing& routing,
                                            Rung rung);

/// What a prepared layer computes on `compute` instead of the model's GPUs. With expert_return the
/// experts' N rows go back into the order in which the combine sends them, by a kernel of its own
/// like combine_reduce_time: N rows read, R written, R = N where a row travels for each assignment
/// and else the token copies received, whose rows are summed; and where a row travels for each
/// assignment the gate's rank first copies its rows into the order of their destinations
/// (dispatch_order_time). low_latency has neither: its kernels read and write rows where they are.
/// Source: SGLang's kernels around DeepGEMM's contiguous layout, which the table of
/// deepgemm_contiguous measured with it (docs/calibration.md); Megatron-Core's token dispatchers
/// (permute, unpermute, sort by local experts). Checked by: whole_step_test.
[[nodiscard]] LayerCompute layer_compute(const StepModel& model,
                                         const ComputeModel& compute,
                                         const LayerWork& work);

/// Every layer of a step (in parallel). Deterministic at any thread count.
[[nodiscard]] std::vector<PreparedLayer> prepare_step(const StepModel& model, int step);

/// The clock's part of simulate_step, from layers prepared already (layer_work.hpp).
[[nodiscard]] StepResult simulate_prepared(const StepModel& model,
                                           int step,
                                           std::vector<PreparedLayer> layers);

/// Where ranks 0 .. ranks - 1 sit: rank r on GPU r.
[[nodiscard]] std::vector<RankPlace> rank_places(const Cluster& cluster, int ranks);

}  // namespace moesim
