// SPDX-License-Identifier: Apache-2.0
#include "sim/step/train_schedule.hpp"

#include <algorithm>

#include "sim/step/memory.hpp"

namespace moesim {
namespace {

/// What a micro-batch's rows take from a stage to the next.
StageTransfers stage_transfers(const WholeModel& m, const PathFinder& finder) {
  StageTransfers transfers{
      .finder = &finder,
      .capacity = effective_capacities(m.step.cluster, m.step.constants),
      .network = {},
      .ranks = m.step.ranks,
      .bytes = bytes(static_cast<double>(
          m.batch.tokens_per_rank * activation_row_bytes(m.step.model.hidden_size, Dtype::kBf16)))};
  transfers.network.engine = m.step.engine;
  if (m.step.message_chunk.value > 0.0) {
    transfers.network.chunk = m.step.message_chunk;
  }
  return transfers;
}

}  // namespace

TrainFabric::TrainFabric(const WholeModel& m)
    : finder(m.step.cluster, m.step.path_policy, m.step.seed, m.step.path_spread),
      ring_finder(m.step.cluster, PathPolicy::kRailAligned, m.step.seed),
      transfers(stage_transfers(m, finder)) {
  const RingFabric fabric{.cluster = &m.step.cluster,
                          .finder = &ring_finder,
                          .capacity = transfers.capacity,
                          .engine = m.step.engine,
                          .start = m.step.constants.communication_start};
  for (int s = 0; s < m.parallel.pp; ++s) {
    states.push_back(stage_state(m, fabric, s));
  }
}

std::vector<StageExchanges> TrainFabric::exchanges() const {
  std::vector<StageExchanges> during;
  for (const StageState& state : states) {
    during.push_back(state.during);
  }
  return during;
}

Pipeline pipeline_of(const WholeModel& m, const TrainPasses& runs) {
  Pipeline pipeline;
  pipeline.shape = {.stages = m.parallel.pp,
                    .virtual_stages = m.parallel.virtual_stages,
                    .micro_batches = m.batch.micro_batches,
                    .pairs = m.overlap == Overlap::kDualPipe,
                    .bidirectional = is_bidirectional(m)};
  for (const auto& samples : runs) {
    pipeline.times.emplace_back();
    for (const TrainPass& run : samples) {
      pipeline.times.back().push_back({run.forward.makespan,
                                       run.backward.makespan,
                                       run.pair.makespan,
                                       std::min(run.weights, run.backward.makespan)});
    }
  }
  return pipeline;
}

StageTail stage_tail(const StageTimes& passes,
                     const StageState& state,
                     bool gradients,
                     bool optimiser) {
  StageTail tail;
  tail.early_start = tail.early_end = passes.last_start;
  tail.late_start = tail.late_end = tail.gradients_end = passes.end;
  if (gradients) {
    const SimTime before = state.reduce - state.last_part;
    if (before > SimTime{}) {
      tail.early_end = passes.last_start + before;
      tail.late_start = std::max(passes.end, tail.early_end);
    }
    tail.late_end = tail.late_start + state.last_part;
    tail.gradients_end = std::max(passes.reduced, tail.late_end);
  }
  tail.optimiser_end = tail.gradients_end + (optimiser ? state.optimiser : SimTime{});
  tail.end = tail.optimiser_end + state.gather;
  return tail;
}

}  // namespace moesim
