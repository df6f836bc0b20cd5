// SPDX-License-Identifier: Apache-2.0
// What must hold for any step.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "sim/step/layer_work.hpp"
#include "sim/step/path_table.hpp"
#include "sim/step/step.hpp"
#include "tests/step/random_steps.hpp"

namespace moesim {
namespace {

using testing::random_step;
using testing::RandomStep;

RandomStep any_step(const testing::StepSize& size = {}) {
  return random_step(*rc::gen::arbitrary<std::uint64_t>(), size);
}

/// Bytes over the links that leave GPUs, or that enter them.
std::int64_t bytes_at_gpus(const Cluster& cluster,
                           const std::vector<std::int64_t>& link_bytes,
                           bool leaving) {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < link_bytes.size(); ++i) {
    const Link& link = cluster.links[i];
    const VertexId end = leaving ? link.source : link.target;
    sum += cluster.vertices[end.index()].kind == VertexKind::kGpu ? link_bytes[i] : 0;
  }
  return sum;
}

// ecmp only: a rail-aligned path enters and leaves a third GPU on its way.
RC_GTEST_PROP(Step, LinksCarryWhatLeavesAndWhatEntersTheGpusINV1, ()) {
  RandomStep s = any_step();
  s.model.path_policy = PathPolicy::kEcmp;
  s.model.dispatch.pxn = false;
  const StepResult result = simulate_step(s.model, 0);
  std::int64_t sent = 0;
  for (const LayerResult& layer : result.layers) {
    sent += layer.dispatch_bytes + layer.combine_bytes;
  }
  RC_ASSERT(bytes_at_gpus(s.model.cluster, result.link_bytes, true) == sent);
  RC_ASSERT(bytes_at_gpus(s.model.cluster, result.link_bytes, false) == sent);
}

/// The step's layers as bare tasks and times, for what results do not show.
struct BareRun {
  TaskGraph graph;
  std::vector<PreparedLayer> prepared;
  std::vector<LayerTasks> layers;
  TaskTimes times;

  explicit BareRun(const StepModel& m) {
    const std::vector<BytesPerSecond> capacities = effective_capacities(m.cluster, m.constants);
    const PathFinder finder(m.cluster, path_policy_of(m.dispatch, m.path_policy), m.seed);
    PathTable paths(finder, m.ranks, PathScope::kAny);
    for (int layer = 0; layer < m.layers; ++layer) {
      prepared.push_back(prepare_layer(m, 0, layer));
      const LayerTasks* previous = layers.empty() ? nullptr : &layers.back();
      layers.push_back(append_layer(graph,
                                    prepared.back().work,
                                    communication_model(m.dispatch, m.constants, capacities),
                                    paths,
                                    previous));
    }
    graph.paths = paths.paths();
    times = execute(graph, *make_network(m.engine, capacities));
  }
  [[nodiscard]] std::vector<SimTime> finish(std::size_t layer) const {
    std::vector<SimTime> finish;
    for (const TaskId task : layers[layer].done) {
      finish.push_back(times.end[task.index()]);
    }
    return finish;
  }
  /// From the first kernel start to the last rank that is done.
  [[nodiscard]] Seconds span(const std::vector<TaskId>& start,
                             const std::vector<TaskId>& done) const {
    SimTime first = SimTime::never();
    SimTime last;
    for (std::size_t r = 0; r < start.size(); ++r) {
      first = std::min(first, times.end[start[r].index()]);
      last = std::max(last, times.end[done[r].index()]);
    }
    return (last - first).to_seconds();
  }
};

constexpr double kClockError = 1e-10;  // s; up to 200 events, half a picosecond each

RC_GTEST_PROP(Step, NoPhaseBeatsItsBoundINV3, ()) {
  const RandomStep s = any_step();
  const StepResult result = simulate_step(s.model, 0);
  const BareRun run(s.model);
  for (std::size_t l = 0; l < run.layers.size(); ++l) {
    const LayerTasks& tasks = run.layers[l];
    const LayerResult& layer = result.layers[l];
    RC_ASSERT((layer.dispatch_bound.value > 0) == (layer.dispatch_bytes > 0));
    RC_ASSERT(run.span(tasks.dispatch_start, tasks.dispatch_done).value >=
              layer.dispatch_bound.value - kClockError);
    RC_ASSERT(run.span(tasks.combine_start, tasks.combine_done).value >=
              layer.combine_bound.value - kClockError);
  }
}

// What crosses a cut crosses its links on any paths, so the bound over links is never below it.
// Whole bytes/s of the max-flow: 1e-6.
RC_GTEST_PROP(Step, NoCutAsksMoreThanItsLinksINV3, ()) {
  RandomStep s = any_step();
  s.model.cuts =
      CutBounds(s.model.cluster, effective_capacities(s.model.cluster, s.model.constants));
  for (const LayerResult& layer : simulate_step(s.model, 0).layers) {
    RC_ASSERT(layer.dispatch_cut.time.value <= layer.dispatch_bound.value * (1 + 1e-6));
    RC_ASSERT(layer.combine_cut.time.value <= layer.combine_bound.value * (1 + 1e-6));
    RC_ASSERT(layer.dispatch_cut.cut.empty() == (layer.scale_out_bytes == 0));
  }
}

// Ranks with the same number of tokens start the first dispatch together, so that the slowest rank
// sees all of it.
RC_GTEST_PROP(Step, TheSlowestRankOfTheFirstDispatchDoesNotBeatTheBoundINV3, ()) {
  const RandomStep s = any_step({.even = true});
  const LayerResult layer = simulate_step(s.model, 0).layers[0];
  RC_ASSERT(layer.dispatch.max.value >= layer.dispatch_bound.value - kClockError);
}

/// Every rate twice, every time half.
void double_speed(StepModel& m) {
  for (Link& link : m.cluster.links) {
    link.capacity = link.capacity * 2;
    link.latency = link.latency / 2;
  }
  GpuSpec& gpu = m.cluster.gpu;
  gpu.memory_bandwidth = gpu.memory_bandwidth * 2;
  gpu.bf16_rate = gpu.bf16_rate * 2;
  gpu.fp8_rate = gpu.fp8_rate * 2;
  CostConstants& c = m.constants;
  c.kernel_launch = c.kernel_launch / 2;
  c.communication_start = c.communication_start / 2;
  c.message_gap = c.message_gap / 2;
}

RC_GTEST_PROP(Step, TwiceAsFastPartsTakeHalfTheTimeINV4, ()) {
  RandomStep s = any_step();
  const double before = simulate_step(s.model, 0).makespan.to_seconds().value;
  double_speed(s.model);
  const double after = simulate_step(s.model, 0).makespan.to_seconds().value;
  RC_ASSERT(before > 10e-6);
  RC_ASSERT(std::abs(2 * after - before) <= 2 * kClockError);
}

RC_GTEST_PROP(Step, PartsOfALayerSumToItsMakespanINV7, ()) {
  const RandomStep s = any_step();
  for (const LayerResult& layer : simulate_step(s.model, 0).layers) {
    RC_ASSERT(std::accumulate(layer.parts.begin(), layer.parts.end(), SimTime{}) ==
              layer.makespan());
    for (const SimTime part : layer.parts) {
      RC_ASSERT(part >= SimTime{});
    }
  }
}

RC_GTEST_PROP(Step, PartsOfTheStepSumToItsMakespanWithoutWaitINV7, ()) {
  const RandomStep s = any_step();
  const StepResult step = simulate_step(s.model, 0);
  RC_ASSERT(std::accumulate(step.parts.begin(), step.parts.end(), SimTime{}) == step.makespan);
  RC_ASSERT(step.parts[static_cast<std::size_t>(Part::kStraggler)] == SimTime{});
}

RC_GTEST_PROP(Step, NoTaskStartsBeforeItsPredecessorsEndINV8, ()) {
  const RandomStep s = any_step();
  const BareRun run(s.model);
  for (const auto& [before, after] : run.graph.edges) {
    RC_ASSERT(run.times.end[before.index()] <= run.times.start[after.index()]);
  }
  for (std::size_t i = 0; i < run.graph.tasks.size(); ++i) {
    RC_ASSERT(run.times.start[i] <= run.times.end[i]);
  }
}

/// The same tokens and experts on other ranks: what rank r had, rank new_rank[r] has.
class Relabelled final : public RoutingSource {
 public:
  Relabelled(const RoutingSource& original, std::vector<std::size_t> new_rank)
      : original_(original), new_rank_(std::move(new_rank)) {}
  [[nodiscard]] const RoutingSourceInfo& info() const override { return original_.info(); }
  [[nodiscard]] Routing route(int step, int layer) const override {
    const Routing old = original_.route(step, layer);
    Routing routing{old.num_experts, old.top_k, {0}, {}, {}};
    for (std::size_t rank = 0; rank < new_rank_.size(); ++rank) {
      const auto found = std::find(new_rank_.begin(), new_rank_.end(), rank);
      const auto from = static_cast<std::size_t>(found - new_rank_.begin());
      for (std::int32_t t = old.token_begin[from]; t < old.token_begin[from + 1]; ++t) {
        for (const ExpertIndex expert : old.of_token(t)) {
          routing.experts.push_back(static_cast<ExpertIndex>(new_expert(expert)));
        }
      }
      routing.token_begin.push_back(routing.token_begin.back() + old.token_begin[from + 1] -
                                    old.token_begin[from]);
    }
    return routing;
  }
  /// Experts lie on ranks in contiguous blocks and keep their place in the block.
  [[nodiscard]] std::size_t new_expert(std::size_t expert) const {
    const std::size_t each = static_cast<std::size_t>(info().num_experts) / new_rank_.size();
    return new_rank_[expert / each] * each + expert % each;
  }

 private:
  const RoutingSource& original_;
  std::vector<std::size_t> new_rank_;
};

/// Nodes in any order, the GPUs of all nodes swapped or not: what the cluster cannot tell apart.
std::vector<std::size_t> random_symmetry(std::size_t ranks) {
  RngStream rng(*rc::gen::arbitrary<std::uint64_t>(), "symmetry");
  std::vector<std::size_t> nodes(ranks / 2);
  std::iota(nodes.begin(), nodes.end(), std::size_t{0});
  shuffle(std::span(nodes), rng);
  const std::size_t swapped = rng.below(2);
  std::vector<std::size_t> new_rank;
  for (std::size_t r = 0; r < ranks; ++r) {
    new_rank.push_back(2 * nodes[r / 2] + (r % 2 + swapped) % 2);
  }
  return new_rank;
}

RC_GTEST_PROP(Step, RelabellingRanksPermutesTheResultsINV5, ()) {
  RandomStep s = any_step({.single_switch = true});
  const auto new_rank = random_symmetry(static_cast<std::size_t>(s.model.ranks));
  const BareRun before(s.model);
  const Relabelled routing(*s.routing, new_rank);
  s.model.routing = &routing;
  const BareRun after(s.model);
  for (std::size_t l = 0; l < before.layers.size(); ++l) {
    const LayerResult& was = before.prepared[l].result;
    const LayerResult& is = after.prepared[l].result;
    RC_ASSERT(is.dropped == was.dropped);
    for (std::size_t r = 0; r < new_rank.size(); ++r) {
      RC_ASSERT(is.rank_tokens[new_rank[r]] == was.rank_tokens[r]);
      const SimTime error = after.finish(l)[new_rank[r]] - before.finish(l)[r];
      RC_ASSERT(std::abs(error.to_seconds().value) <= kClockError);
    }
    for (std::size_t e = 0; e < was.expert_load.size(); ++e) {
      RC_ASSERT(is.expert_load[routing.new_expert(e)] == was.expert_load[e]);
    }
  }
}

// network.tolerance: no step is longer by more than the tolerance, and steps of one layer of one
// phase keep it by themselves.
RC_GTEST_PROP(Step, ATolerantNetworkEndsAtMostThatMuchLater, ()) {
  RandomStep s = any_step();
  const double exact = simulate_step(s.model, 0).makespan.to_seconds().value;
  s.model.network_tolerance = *rc::gen::element(0.001, 0.02, 0.2);
  const double late = simulate_step(s.model, 0).makespan.to_seconds().value;
  RC_ASSERT(late <= exact * (1 + s.model.network_tolerance) + kClockError);
  RC_ASSERT(late >= exact * (1 - s.model.network_tolerance) - kClockError);
}

// Whole messages and chunks of messages pass through the same plans, never below the bound.
RC_GTEST_PROP(Step, TheMessageEngineNeverBeatsTheBoundINV3, ()) {
  RandomStep s = any_step({.even = true});
  s.model.engine = NetworkEngine::kMessage;
  s.model.message_chunk = bytes(*rc::gen::element(0.0, 4096.0));
  const LayerResult layer = simulate_step(s.model, 0).layers[0];
  RC_ASSERT(layer.dispatch.max.value >= layer.dispatch_bound.value - kClockError);
}

TEST(Step, BothEnginesAgreeOnTheMakespan) {
  if (!is_available(NetworkEngine::kSimGrid)) {
    GTEST_SKIP() << "this build has no SimGrid";
  }
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    RandomStep s = random_step(seed, {.max_tokens = 15});
    const double fluid = simulate_step(s.model, 0).makespan.to_seconds().value;
    s.model.engine = NetworkEngine::kSimGrid;
    const double simgrid = simulate_step(s.model, 0).makespan.to_seconds().value;
    EXPECT_NEAR(fluid, simgrid, 1e-6 * fluid) << "seed " << seed;
  }
}

}  // namespace
}  // namespace moesim
