// SPDX-License-Identifier: Apache-2.0
#include "sim/step/task_graph.hpp"

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <stdexcept>

#include "sim/core/rng.hpp"

namespace moesim {
namespace {

constexpr BytesPerSecond kOneGigabyte = gigabytes_per_second(1);

SimTime us(double n) {
  return ticks(microseconds(n));
}

/// Two links of 1 GB/s: a kilobyte takes 1 us. Path p is link p alone.
TaskGraph graph_with_paths(Seconds latency) {
  TaskGraph graph;
  graph.paths = {{{LinkId{0}}, latency}, {{LinkId{1}}, latency}};
  return graph;
}

TaskTimes run(const TaskGraph& graph) {
  const std::vector<BytesPerSecond> capacity(2, kOneGigabyte);
  return execute(graph, *make_network(NetworkEngine::kFluid, capacity));
}

TEST(TaskGraph, AnEmptyGraphEndsAtOnce) {
  EXPECT_TRUE(run({}).end.empty());
}

// 3 us, then 4 us, then a join of no length: 0-3, 3-7, 7-7.
TEST(TaskGraph, TasksOfAChainFollowEachOther) {
  TaskGraph graph;
  const TaskId a = graph.add_delay({}, us(3));
  const TaskId b = graph.add_delay({}, us(4));
  const TaskId c = graph.add_delay({}, us(0));
  graph.add_edge(a, b);
  graph.add_edge(b, c);
  const TaskTimes times = run(graph);
  EXPECT_THAT(times.start, ::testing::ElementsAre(us(0), us(3), us(7)));
  EXPECT_THAT(times.end, ::testing::ElementsAre(us(3), us(7), us(7)));
  EXPECT_THAT(times.bound_by,
              ::testing::ElementsAre(std::nullopt, std::optional(a), std::optional(b)));
}

TEST(TaskGraph, AJoinStartsWhenTheLastOfItsPredecessorsEnds) {
  TaskGraph graph;
  const TaskId fast = graph.add_delay({}, us(2));
  const TaskId slow = graph.add_delay({}, us(9));
  const TaskId middle = graph.add_delay({}, us(5));
  const TaskId join = graph.add_delay({}, us(1));
  for (const TaskId before : {fast, slow, middle}) {
    graph.add_edge(before, join);
  }
  const TaskTimes times = run(graph);
  EXPECT_EQ(times.start[join.index()], us(9));
  EXPECT_EQ(times.end[join.index()], us(10));
  EXPECT_EQ(times.bound_by[join.index()], slow);
}

// Flow a: 2 kB alone for 1 us, then half of the link. At 1 us b's 2 kB join it: a has 1 kB left,
// 2 us at 0.5 GB/s, so it leaves at 3 us; b has 1 kB left and the link alone: 4 us.
TEST(TaskGraph, FlowsThatMeetOnALinkShareIt) {
  TaskGraph graph = graph_with_paths({});
  const TaskId a = graph.add_flow({}, 0, bytes(2000));
  const TaskId wait = graph.add_delay({}, us(1));
  const TaskId b = graph.add_flow({}, 0, bytes(2000));
  graph.add_edge(wait, b);
  const TaskTimes times = run(graph);
  EXPECT_EQ(times.end[a.index()], us(3));
  EXPECT_EQ(times.start[b.index()], us(1));
  EXPECT_EQ(times.end[b.index()], us(4));
}

TEST(TaskGraph, FlowsOnDifferentLinksDoNotShare) {
  TaskGraph graph = graph_with_paths({});
  const TaskId a = graph.add_flow({}, 0, bytes(2000));
  const TaskId b = graph.add_flow({}, 1, bytes(2000));
  const TaskTimes times = run(graph);
  EXPECT_EQ(times.end[a.index()], us(2));
  EXPECT_EQ(times.end[b.index()], us(2));
}

// 2 us on the link and 5 us of latency; what waits for the flow starts at 7 us.
TEST(TaskGraph, AFlowEndsOnePathLatencyAfterItsLastByte) {
  TaskGraph graph = graph_with_paths(microseconds(5));
  const TaskId flow = graph.add_flow({}, 0, bytes(2000));
  const TaskId next = graph.add_delay({}, us(1));
  graph.add_edge(flow, next);
  const TaskTimes times = run(graph);
  EXPECT_EQ(times.end[flow.index()], us(7));
  EXPECT_EQ(times.end[next.index()], us(8));
  EXPECT_EQ(times.bound_by[next.index()], flow);
}

// Both predecessors end at 4 us; the completion of the network is fired first, so the delay is the
// last one.
TEST(TaskGraph, OfTwoPredecessorsThatEndTogetherOneBinds) {
  TaskGraph graph = graph_with_paths({});
  const TaskId delay = graph.add_delay({}, us(4));
  const TaskId flow = graph.add_flow({}, 0, bytes(4000));
  const TaskId join = graph.add_delay({}, us(0));
  graph.add_edge(delay, join);
  graph.add_edge(flow, join);
  const TaskTimes times = run(graph);
  EXPECT_EQ(times.start[join.index()], us(4));
  EXPECT_EQ(times.bound_by[join.index()], delay);
}

TEST(TaskGraph, ACycleIsOurBug) {
  TaskGraph graph;
  const TaskId first = graph.add_delay({}, us(1));
  const TaskId a = graph.add_delay({}, us(1));
  const TaskId b = graph.add_delay({}, us(1));
  graph.add_edge(first, a);
  graph.add_edge(a, b);
  graph.add_edge(b, a);
  try {
    static_cast<void>(run(graph));
    FAIL() << "a cycle ran to the end";
  } catch (const std::logic_error& error) {
    EXPECT_THAT(error.what(), ::testing::EndsWith("a task graph with a cycle"));
  }
}

/// Edges from lower to higher numbers only; every third task is a flow.
TaskGraph random_graph(std::uint64_t seed) {
  RngStream rng(seed, "task graph");
  TaskGraph graph = graph_with_paths(microseconds(static_cast<double>(rng.below(3))));
  const std::size_t count = 2 + rng.below(25);
  for (std::size_t i = 0; i < count; ++i) {
    const TaskId task =
        rng.below(3) == 0
            ? graph.add_flow({},
                             static_cast<std::int32_t>(rng.below(2)),
                             bytes(static_cast<double>(1 + rng.below(5000))))
            : graph.add_delay({}, SimTime{static_cast<std::int64_t>(rng.below(4)) * 1'000'000});
    for (std::size_t before = 0; before < i; ++before) {
      if (rng.below(4) == 0) {
        graph.add_edge(id_at<TaskId>(before), task);
      }
    }
  }
  return graph;
}

RC_GTEST_PROP(TaskGraph, EveryTaskStartsAtTheLastEndOfItsPredecessorsINV8, ()) {
  const TaskGraph graph = random_graph(*rc::gen::arbitrary<std::uint64_t>());
  const TaskTimes times = run(graph);
  std::vector<SimTime> expected(graph.tasks.size());
  for (const auto& [before, after] : graph.edges) {
    expected[after.index()] = std::max(expected[after.index()], times.end[before.index()]);
  }
  RC_ASSERT(times.start == expected);
  for (std::size_t i = 0; i < graph.tasks.size(); ++i) {
    const Task& task = graph.tasks[i];
    if (task.flow_path < 0) {
      RC_ASSERT(times.end[i] - times.start[i] == task.duration);
    } else {
      RC_ASSERT(times.end[i] > times.start[i]);
    }
    if (const auto before = times.bound_by[i]) {
      RC_ASSERT(times.end[before->index()] == times.start[i]);
    }
  }
}

// 10 us at half pace while a kernel runs on its rank from 4 to 8 us: 4 us before, 2 us of work in 4
// us, 4 us after. A kernel of another rank says nothing.
TEST(TaskGraph, ADelaySlowsDownBesideAKernelOfItsRank) {
  TaskGraph graph;
  const TaskId before = graph.add_delay({}, us(4));
  const TaskId kernel = graph.add_delay({}, us(4));
  graph.add_edge(before, kernel);
  TaskLabel other;
  other.rank = 1;
  const TaskId slowed = graph.add_delay({}, us(10));
  const TaskId elsewhere = graph.add_delay(other, us(10));
  graph.tasks[slowed.index()].beside = graph.tasks[elsewhere.index()].beside = 0.5;
  graph.kernels = {{kernel, kernel, 0}};
  const TaskTimes times = run(graph);
  EXPECT_EQ(times.end[slowed.index()], us(12));
  EXPECT_EQ(times.end[elsewhere.index()], us(10));
}

// Two kernels at once slow no more than one; the delay begins between them.
TEST(TaskGraph, KernelsThatRunTogetherCountOnce) {
  TaskGraph graph;
  const TaskId first = graph.add_delay({}, us(6));
  const TaskId second = graph.add_delay({}, us(8));
  const TaskId wait = graph.add_delay({}, us(2));
  const TaskId slowed = graph.add_delay({}, us(10));
  graph.add_edge(wait, slowed);
  graph.tasks[slowed.index()].beside = 0.5;
  graph.kernels = {{first, first, 0}, {second, second, 0}};
  EXPECT_EQ(run(graph).end[slowed.index()], us(15));
}

}  // namespace
}  // namespace moesim
