// SPDX-License-Identifier: Apache-2.0
// What a stage of a training pipeline does beside its passes.
#pragma once

#include "sim/step/collectives.hpp"
#include "sim/step/pipeline.hpp"
#include "sim/step/whole_model.hpp"

namespace moesim {

/// Whether micro-batches enter from both ends of the pipeline.
[[nodiscard]] bool is_bidirectional(const WholeModel& model);

/// What a stage does beside its passes.
struct StageState {
  StageExchanges during;
  SimTime reduce;     ///< of all gradients after the last pass
  SimTime last_part;  ///< of that, what cannot begin before its end
  SimTime optimiser;
  SimTime gather;  ///< after the optimiser
};

/// Gradients, optimiser and weights of a stage, as train_step.hpp has them.
[[nodiscard]] StageState stage_state(const WholeModel& model, const RingFabric& fabric, int stage);

}  // namespace moesim
