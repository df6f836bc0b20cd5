// SPDX-License-Identifier: Apache-2.0
// One training step as a timeline in Chrome's trace event format, which ui.perfetto.dev opens.
#pragma once

#include <functional>
#include <span>
#include <string_view>

#include "sim/step/fabric_view.hpp"
#include "sim/step/train_trace.hpp"

namespace moesim {

struct TrainTimelineInput {
  const TrainTrace& trace;
  const FabricView& fabric;
  std::span<const double> link_rates;  ///< effective bytes/s, by LinkId
  std::string_view scenario;
  int step = 0;
};

/// Writes the document piece by piece to `sink`. A process a rank of the first copy of the model
/// with the threads
///   passes         forward, backward, both as a pair, gradients of weights; the optimiser and the
///                  exchanges after the last pass; bubbles between them: together the makespan
///   compute        attention, experts, ... of every pass; the optimiser
///   communication  dispatch, combine and TP exchanges, their kernel starts inside; those of the
///                  second pass of a pair on a thread of their own
///   gradients and weights  what the copies of a stage exchange
/// Names say which way a layer is run: plain, "(backward)", "(recompute)". Flows of a pass are
/// async events at the stage's first use of that simulated pass, rows between stages always. The
/// process "network" has the utilisation of each kind of link by all copies. Checked by:
/// train_timeline_test.
void write_train_timeline(const TrainTimelineInput& input,
                          const std::function<void(std::string_view)>& sink);

}  // namespace moesim
