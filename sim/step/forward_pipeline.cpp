// SPDX-License-Identifier: Apache-2.0
#include "sim/step/forward_pipeline.hpp"

#include <algorithm>
#include <numeric>

#include "sim/core/check.hpp"
#include "sim/step/path_table.hpp"
#include "sim/step/stage_parts.hpp"
#include "sim/step/task_graph.hpp"

namespace moesim {
namespace {

SimTime longest(const std::vector<SimTime>& times) {
  return times.empty() ? SimTime{} : *std::max_element(times.begin(), times.end());
}

SimTime sum(const std::vector<SimTime>& times) {
  return std::accumulate(times.begin(), times.end(), SimTime{});
}

SimTime times(int count, SimTime time) {
  return {count * time.picoseconds};
}

}  // namespace

SimTime forward_step(const ForwardStages& s) {
  const SimTime once = sum(s.passes) + sum(s.transfers);
  const SimTime slowest = std::max(longest(s.passes), longest(s.transfers));
  return s.cycles ? std::max(once, times(s.micro_batches, slowest))
                  : once + times(s.micro_batches - 1, slowest);
}

SimTime stage_transfer_time(const WholeModel& m, int stage) {
  const int ranks = m.step.ranks;
  const PathFinder finder(m.step.cluster, m.step.path_policy, m.step.seed, m.step.path_spread);
  PathTable paths(finder, (stage + 2) * ranks, PathScope::kAny);
  TaskGraph graph;
  const Bytes rows = bytes(static_cast<double>(
      m.batch.tokens_per_rank * activation_row_bytes(m.step.model.hidden_size, Dtype::kBf16)));
  for (int r = 0; r < ranks; ++r) {
    for (const PathPart& part :
         paths.find(RankId{stage * ranks + r}, RankId{(stage + 1) * ranks + r})) {
      graph.add_flow({}, part.path, rows * part.share);
    }
  }
  graph.paths = paths.paths();
  NetworkSettings settings;
  settings.engine = m.step.engine;
  if (m.step.message_chunk.value > 0.0) {
    settings.chunk = m.step.message_chunk;
  }
  const auto network =
      make_network(settings, effective_capacities(m.step.cluster, m.step.constants));
  return ticks(m.step.constants.communication_start) + longest(execute(graph, *network).end);
}

WholeStepResult forward_result(const WholeModel& m, int step, std::span<const PassResult> stages) {
  const int count = m.parallel.pp;
  MOESIM_CHECK(stages.size() == static_cast<std::size_t>(count), "a pass a stage");
  ForwardStages pipeline{.passes = {},
                         .transfers = {},
                         .micro_batches = m.batch.micro_batches,
                         .cycles = m.kind == StepKind::kDecode};
  WholeStepResult result;
  result.step = step;
  PassSums sums;
  for (const PassResult& stage : stages) {
    pipeline.passes.push_back(stage.makespan);
    add_pass(sums, stage);
    result.flows += stage.flows;
    result.network_events += stage.network_events;
  }
  const SimTime schedule = forward_step(pipeline);
  for (int s = 0; s + 1 < count; ++s) {
    pipeline.transfers.push_back(stage_transfer_time(m, s));
  }
  result.makespan = forward_step(pipeline);
  for (SimTime& part : sums.parts) {
    part = times(m.batch.micro_batches, part);
  }
  result.parts = mean_parts(sums.parts, count);
  const SimTime busy{times(m.batch.micro_batches, sums.busy).picoseconds / count};
  result.parts[static_cast<std::size_t>(WholePart::kBubble)] = schedule - busy;
  result.parts[static_cast<std::size_t>(WholePart::kPipeline)] = result.makespan - schedule;
  result.communication = {times(m.batch.micro_batches, sums.communication).picoseconds / count};
  return result;
}

}  // namespace moesim
