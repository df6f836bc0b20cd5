// SPDX-License-Identifier: Apache-2.0
#include "sim/step/prepared_batch.hpp"

#include <tbb/parallel_for.h>

#include <utility>

namespace moesim {

std::vector<int> moe_layers_in(const ModelShape& model, StageLayers layers) {
  std::vector<int> found;
  int moe = 0;
  for (int layer = 0; layer < layers.last; ++layer) {
    if (is_moe_layer(model, layer)) {
      if (layer >= layers.first) {
        found.push_back(moe);
      }
      ++moe;
    }
  }
  return found;
}

std::vector<PreparedBatch> prepare_batches(const WholeModel& m, int step, StageLayers layers) {
  const std::vector<int> moe_layers = moe_layers_in(m.step.model, layers);
  std::vector<PreparedBatch> batches;
  if (m.overlap == Overlap::kTwoBatch) {
    for (const MicroBatch& half : halves(m)) {
      batches.push_back({half, {}});
    }
  } else {
    batches.push_back({{0, m.batch.tokens_per_rank, pass_load(m)}, {}});
  }
  for (PreparedBatch& prepared : batches) {
    prepared.layers.resize(moe_layers.size());
  }
  tbb::task_group_context own(tbb::task_group_context::isolated);
  const auto prepare_one = [&](std::size_t i) {
    const int moe = moe_layers[i];
    if (batches.size() == 1) {
      batches.front().layers[i] = prepare_layer(m.step, step, moe);
      return;
    }
    const Routing routing = m.step.routing->route(step, moe);
    for (PreparedBatch& prepared : batches) {
      prepared.layers[i] = prepare_routed(
          m.step, moe, tokens_of(routing, prepared.batch.first_token, prepared.batch.tokens));
    }
  };
  tbb::parallel_for(std::size_t{0}, moe_layers.size(), prepare_one, own);
  return batches;
}

PreparedStep prepare_whole_step(const WholeModel& m, int step) {
  PreparedStep stages;
  for (int stage = 0; stage < m.parallel.pp; ++stage) {
    stages.push_back(prepare_batches(m, step, part_layers(m.step.model, m.parallel, stage)));
  }
  return stages;
}

std::vector<Pass> passes_of(const WholeModel& model,
                            const std::vector<PreparedBatch>& batches,
                            StageLayers layers) {
  const bool ends = layers.last == model.step.model.layers;
  std::vector<Pass> passes;
  for (const PreparedBatch& prepared : batches) {
    const PassShape shape{.layers = layers,
                          .head = ends && prepared.batch.load.head_rows > 0,
                          .tp = model.parallel.tp,
                          .overlap = model.overlap};
    passes.push_back({.program = forward_program(model.step.model, shape),
                      .load = prepared.batch.load,
                      .layers = prepared.layers});
  }
  return passes;
}

}  // namespace moesim
