// SPDX-License-Identifier: Apache-2.0
#include "sim/step/exchange.hpp"

#include <algorithm>
#include <utility>

#include "sim/network/network.hpp"
#include "sim/step/path_table.hpp"
#include "sim/step/step.hpp"

namespace moesim {
namespace {

Seconds longest(const TaskTimes& times,
                const std::vector<TaskId>& from,
                const std::vector<TaskId>& to) {
  SimTime first = times.start[from.front().index()];
  SimTime last;
  for (std::size_t r = 0; r < from.size(); ++r) {
    first = std::min(first, times.start[from[r].index()]);
    last = std::max(last, times.end[to[r].index()]);
  }
  return (last - first).to_seconds();
}

/// One phase alone: the other one has no transfers.
Seconds phase_time(const ExchangeSetup& setup,
                   const CommPlan& plan,
                   const CostConstants& constants,
                   bool combine) {
  const auto ranks = static_cast<std::size_t>(setup.ranks);
  LayerWork work;
  (combine ? work.traffic.combine : work.traffic.dispatch) = plan;
  work.compute = {
      std::vector<SimTime>(ranks), std::vector<SimTime>(ranks), std::vector<SimTime>(ranks)};
  const PathFinder finder(*setup.cluster, path_policy_of(setup.dispatch, setup.path_policy), 1);
  const PathScope scope = setup.dispatch.scale_up ? PathScope::kAny : PathScope::kScaleOutOnly;
  PathTable paths(finder, setup.ranks, scope);
  const std::vector<BytesPerSecond> capacities = effective_capacities(*setup.cluster, constants);
  TaskGraph graph;
  const LayerTasks layer = append_layer(
      graph, work, communication_model(setup.dispatch, constants, capacities), paths, nullptr);
  graph.paths = paths.paths();
  const auto network = make_network(NetworkEngine::kFluid, capacities);
  const TaskTimes times = execute(graph, *network);
  return combine ? longest(times, layer.combine_start, layer.combine_done)
                 : longest(times, layer.dispatch_start, layer.dispatch_done);
}

}  // namespace

Seconds time_dispatch(const ExchangeSetup& setup,
                      const CommPlan& plan,
                      const CostConstants& constants) {
  return phase_time(setup, plan, constants, false);
}

Seconds time_combine(const ExchangeSetup& setup,
                     const CommPlan& plan,
                     const CostConstants& constants) {
  return phase_time(setup, plan, constants, true);
}

}  // namespace moesim
