// SPDX-License-Identifier: Apache-2.0
// The schedule of a training pipeline and its execution. Passes are given times; what they consist
// of is pass_graph.hpp's.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "sim/core/sim_time.hpp"
#include "sim/core/units.hpp"
#include "sim/network/network.hpp"
#include "sim/step/step_trace.hpp"
#include "topology/paths.hpp"

namespace moesim {

struct PipelineShape {
  int stages = 1;
  int virtual_stages = 1;  ///< parts of the model on each stage; more than 1: interleaved
  int micro_batches = 1;   ///< a multiple of `stages` when interleaved
  bool pairs = false;      ///< a forward and a backward pass of a stage run as one (dualpipe)
  /// DualPipe: the first half of the micro-batches enters at stage 0, the other at the last stage;
  /// stage s holds the parts s and stages - 1 - s.
  bool bidirectional = false;

  [[nodiscard]] int parts() const { return stages * virtual_stages; }
};

/// A pass of one micro-batch through one part of the model, or a pair of passes.
struct PipelineOp {
  int forward = -1;  ///< part, -1: none
  int forward_batch = 0;
  int backward = -1;
  int backward_batch = 0;
  bool inputs_only = false;  ///< the backward pass leaves the gradients of weights to another op
  int weights = -1;          ///< gradients of the weights of this part; -1: none
  int weights_batch = 0;

  bool operator==(const PipelineOp&) const = default;
};

/// What stage s of p does, in order: w forward passes, then forward and backward by turns, then the
/// remaining backward passes.
///   v = 1   w = p - s - 1                   (1F1B)
///   v > 1   w = 2 (p - s - 1) + (v - 1) p   (interleaved), parts taken p micro-batches at a time
///   pairs   w = 2 (p - s - 1) + (v - 1) p + 1, v >= 1; each turn is one op, of different
///           micro-batches and, interleaved, of different parts; it lasts as the forward part's
/// Pairs need that many micro-batches under way: there and back between two stages takes two ops.
/// Source: PipeDream-Flush and interleaved 1F1B (Narayanan et al. 2021, arXiv 2104.04473); pairs:
/// Megatron-Core's overlap of expert-parallel communication, whose passes run beside each other as
/// DualPipe's do (DeepSeek-V3 report, figure 4). Checked by: pipeline_test.
[[nodiscard]] std::vector<PipelineOp> one_forward_one_backward(const PipelineShape& shape,
                                                               int stage);

/// What stage s of p (even) does of m >= 2 p micro-batches (even) under DualPipe. "Near" is the
/// direction whose end is nearer to the stage (its later half of the parts lies elsewhere), h =
/// min(s, p - 1 - s):
///   (p - 2 h - 2) forward near; (h + 1) times forward near, forward far;
///   (p / 2 - h - 1) times backward far of inputs, its weights, forward far;
///   (m / 2 - p + h + 1) times pair (forward near, backward far), pair (forward far, backward
///   near); (p / 2 - h - 1) times backward far, pair (forward far, backward near); (h + 1) times
///   backward far, backward near, the later half of them of inputs; (p / 2 - h - 1) times weights,
///   backward near of inputs; weights until none is left.
/// The first pair of the two middle stages runs as two passes.
/// Source: DeepSeek-V3 report, section 3.2.1 and figure 5; the order of each step as in
/// deepseek-ai/DualPipe @bb214e8. Checked by: dualpipe_test (the published bubble and activations).
[[nodiscard]] std::vector<PipelineOp> dualpipe_order(const PipelineShape& shape, int stage);

/// The order of the shape's schedule.
[[nodiscard]] std::vector<PipelineOp> stage_order(const PipelineShape& shape, int stage);

/// How long the passes of one part of the model take.
struct PartTimes {
  SimTime forward;
  SimTime backward;
  SimTime pair;          ///< both beside each other
  SimTime weights = {};  ///< of `backward`, gradients of weights; dualpipe order
};

/// Rows that go from a stage to the next and their gradients back: every rank sends `bytes` to the
/// rank of the same index. Rank r of stage s runs on GPU s * ranks + r.
struct StageTransfers {
  const PathFinder* finder = nullptr;
  std::vector<BytesPerSecond> capacity;
  NetworkSettings network;
  int ranks = 0;
  Bytes bytes;
};

/// Exchanges of the copies of a stage during the passes (ZeRO 2 and 3).
struct StageExchanges {
  SimTime gather = {};   ///< weights before each pass, fetched while the pass before runs
  SimTime reduce = {};   ///< gradients after each backward pass
  bool overlaps = true;  ///< reduces run beside later passes, one after the other
};

struct Pipeline {
  PipelineShape shape;
  std::vector<std::vector<PartTimes>> times;  ///< [part][sample]; micro-batch i has sample i mod n
  const StageTransfers* transfers = nullptr;  ///< null: they take no time
  std::vector<StageExchanges> exchanges;      ///< by stage, or empty
};

struct StageTimes {
  SimTime busy;        ///< passes
  SimTime last_start;  ///< of its last pass
  SimTime end;         ///< of its last pass
  SimTime reduced;     ///< end of its last reduce, at least `end`
};
struct PipelineResult {
  std::vector<StageTimes> stages;
  std::int64_t flows = 0;
  std::int64_t network_events = 0;

  [[nodiscard]] SimTime end() const;  ///< of the last pass of all
};

/// Runs the schedule: a pass starts when the stage's last one has ended and its rows have arrived.
/// With equal stages, free transfers and passes of f and b each in all parts of a stage together,
///   makespan = m (f + b) + (p - 1) (f + b) / v,   idle share = (p - 1) / (v m + p - 1),
/// and with the dualpipe order, pairs of c and w of b for weights, idle (p / 2 - 1) (c + b - 3 w)
/// where b = 2 w and c = f + b, no more elsewhere.
/// Source: Narayanan et al. 2021, section 2.2. Checked by: pipeline_test (worked, property).
[[nodiscard]] PipelineResult run_pipeline(const Pipeline& pipeline);

/// The same with its tasks kept.
struct PipelineTrace {
  /// Rows of a rank on their way to another stage, or their gradients on the way back.
  struct Rows {
    int part = 0;  ///< that they come from
    int batch = 0;
    bool backward = false;
    int source = 0;  ///< stage
    int target = 0;
    int rank = 0;  ///< of both stages
    TaskId flow = {};
  };
  PipelineResult result;
  StepTrace tasks;                             ///< without spans
  std::vector<std::vector<PipelineOp>> order;  ///< by stage, as all the following but the rows
  std::vector<std::vector<TaskId>> ops;        ///< of each op of the order
  std::vector<std::vector<TaskId>> gathers;    ///< before each op; or empty
  std::vector<std::vector<TaskId>> reduces;    ///< after each backward pass; or empty
  std::vector<Rows> rows;
};
/// @param makespan  about as long (execute_watched)
[[nodiscard]] PipelineTrace trace_pipeline(const Pipeline& pipeline,
                                           const Cluster& cluster,
                                           SimTime makespan);

}  // namespace moesim
