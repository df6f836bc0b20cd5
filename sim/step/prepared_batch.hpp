// SPDX-License-Identifier: Apache-2.0
// What the batch of an inference step does in some layers of the model, before any clock runs.
#pragma once

#include <vector>

#include "sim/step/layer_work.hpp"
#include "sim/step/micro_batch.hpp"
#include "sim/step/pass_graph.hpp"

namespace moesim {

/// The whole batch of a rank, or one of the halves that take turns (two_batch), with its MoE
/// layers.
struct PreparedBatch {
  MicroBatch batch;
  std::vector<PreparedLayer> layers;
};

/// Indices of the MoE layers among `layers`, counted over the whole model.
[[nodiscard]] std::vector<int> moe_layers_in(const ModelShape& model, StageLayers layers);

/// Step `step` in `layers` (MoE layers in parallel). Prefill and decode.
[[nodiscard]] std::vector<PreparedBatch> prepare_batches(const WholeModel& model,
                                                         int step,
                                                         StageLayers layers);

/// All of a step, by pipeline stage.
using PreparedStep = std::vector<std::vector<PreparedBatch>>;
[[nodiscard]] PreparedStep prepare_whole_step(const WholeModel& model, int step);

/// Its passes, with the head where the model ends. @param batches  outlive the passes
[[nodiscard]] std::vector<Pass> passes_of(const WholeModel& model,
                                          const std::vector<PreparedBatch>& batches,
                                          StageLayers layers);

}  // namespace moesim
