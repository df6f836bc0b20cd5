// SPDX-License-Identifier: Apache-2.0
// Everything of one training step and when it ran.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "sim/step/link_sums.hpp"
#include "sim/step/pipeline.hpp"
#include "sim/step/train_step.hpp"

namespace moesim {

/// What a rank does in a pass; times count from the pass' beginning.
struct PassSpan {
  std::string_view name;  ///< a literal
  PassDirection direction = PassDirection::kForward;
  std::int32_t rank = 0;  ///< of the stage
  Track track = Track::kCompute;
  std::int32_t layer = 0;
  SimTime start = {};
  SimTime end = {};
};

/// A flow of a pass, or what else goes on beside the spans of its rank.
struct PassFlow {
  std::string_view name;
  std::int32_t rank = 0;
  std::int32_t layer = 0;
  std::int32_t to = -1;  ///< rank of the stage; -1: no flow
  double bytes = 0;
  SimTime start = {};
  SimTime end = {};
};

/// A pass that was simulated: of one part of the model with one routing.
struct PassRecord {
  SimTime makespan = {};
  std::vector<PassSpan> spans = {};  ///< of the ranks that are shown on some stage
  std::vector<PassFlow> flows = {};
  LinkSums links = {};
};

/// A turn of a stage.
struct StageOp {
  PipelineOp op = {};
  int record = -1;  ///< the simulated pass; -1: gradients of weights, whose inside is not simulated
  bool is_first = false;  ///< the stage's first use of that pass
  SimTime start = {};
  SimTime end = {};

  /// Whether the record is of just this: a backward pass without gradients of weights is a share.
  [[nodiscard]] bool has_detail() const { return record >= 0 && !op.inputs_only; }
};

/// What a stage does beside and after its passes.
struct StageExchange {
  std::string_view name;
  bool computes = false;  ///< the optimiser
  SimTime start = {};
  SimTime end = {};
};

/// Rows of a rank between stages.
struct StageRows {
  PipelineTrace::Rows rows = {};
  double bytes = 0;
  SimTime start = {};
  SimTime end = {};
};

/// Rank r of stage s is rank s * stage_ranks + r of the first copy of the model.
struct TrainTrace {
  int stages = 1;
  int stage_ranks = 1;
  int copies = 1;
  std::vector<RankId> shown = {};                          ///< of the first copy
  std::vector<PassRecord> records = {};                    ///< part by part, sample by sample, kind
  std::vector<std::vector<StageOp>> ops = {};              ///< by stage, in time
  std::vector<std::vector<StageExchange>> exchanges = {};  ///< by stage
  std::vector<StageRows> rows = {};                        ///< sent by shown ranks
  LinkSums links = {};  ///< of all copies; without pipeline and expert parallelism all zero
  SimTime makespan = {};
};

/// How much is kept.
struct TraceLimits {
  std::size_t ranks = 64;
  std::size_t spans = 500'000;
  std::size_t flows = 100'000;
};

/// Simulates the step as simulate_train_step does and keeps its passes. Ranks: all of a copy, or
/// one of every 2^n (rank_sample) until the limits hold. The flows of a pass count, and are to be
/// shown, once for each stage: at its first use.
/// links: what the passes and the rows between stages carried, at the rates that the network gave,
/// times the copies, in a thousand intervals; collectives of gradients and weights are no flows
/// (collectives.hpp) and not in them. A turn that runs a share of a pass carries all of its bytes.
/// Throws Cancelled.
/// @param makespan  of the step, as simulate_train_step has it
/// Checked by: train_trace_test (stage times add up to the makespan; bytes by hand).
[[nodiscard]] TrainTrace trace_train_step(const WholeModel& model,
                                          int step,
                                          SimTime makespan,
                                          const TrainControl& control = {},
                                          const TraceLimits& limits = {});

}  // namespace moesim
