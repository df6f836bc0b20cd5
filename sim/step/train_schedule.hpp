// SPDX-License-Identifier: Apache-2.0
// What the second level of a training step (train_step.hpp) is put together from.
#pragma once

#include <vector>

#include "sim/step/pipeline.hpp"
#include "sim/step/stage_state.hpp"
#include "sim/step/train_step.hpp"

namespace moesim {

/// The stages of a step: what goes between them, and what each does beside its passes.
struct TrainFabric {
  explicit TrainFabric(const WholeModel& model);
  TrainFabric(const TrainFabric&) = delete;
  TrainFabric& operator=(const TrainFabric&) = delete;

  [[nodiscard]] std::vector<StageExchanges> exchanges() const;

  PathFinder finder;
  PathFinder ring_finder;
  StageTransfers transfers;
  std::vector<StageState> states;
};

/// The schedule with the time of every simulated pass; rows and exchanges take no time.
[[nodiscard]] Pipeline pipeline_of(const WholeModel& model, const TrainPasses& passes);

/// What follows the passes of a stage, or runs beside the last one.
struct StageTail {
  SimTime early_start;  ///< the share of the gradients that need not wait for the last pass' end
  SimTime early_end;
  SimTime late_start;  ///< the rest
  SimTime late_end;
  SimTime gradients_end;  ///< those reduced after each pass too
  SimTime optimiser_end;
  SimTime end;  ///< of gathering the weights
};
[[nodiscard]] StageTail stage_tail(const StageTimes& passes,
                                   const StageState& state,
                                   bool gradients,
                                   bool optimiser);

}  // namespace moesim
