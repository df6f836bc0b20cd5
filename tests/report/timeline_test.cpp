// SPDX-License-Identifier: Apache-2.0
// The timeline of layers whose times are known, read back as its viewers would.
#include "sim/report/timeline.hpp"

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <numeric>

#include "sim/report/timeline_counters.hpp"
#include "tests/step/step_fixtures.hpp"

namespace moesim {
namespace {

using nlohmann::json;

/// Two hierarchical layers on 2 nodes x 2 GPUs, uneven: rank 0 sends to all, others to one.
struct Scene {
  Cluster cluster = build_cluster(testing::tiny_spec());
  std::vector<LayerTasks> layers;
  StepTrace trace;
  TaskTimes unwatched;
  FabricView fabric = fabric_view(cluster);
  std::vector<double> rates;
  std::vector<std::string> names;

  Scene() {
    const DispatchSpec dispatch{.kind = DispatcherKind::kHierarchical};
    const Routing routing =
        testing::make_routing({{{0}, {2}, {3}}, {{1}, {3}}, {{0}}, {{2}}}, testing::kRanks, 1);
    std::vector<LayerWork> works(2, testing::make_layer(cluster, routing, dispatch));
    works[1].layer = 1;
    testing::RanLayers ran =
        testing::run_layers(cluster, works, testing::make_communication(dispatch, 1));
    layers = std::move(ran.layers);
    unwatched = std::move(ran.times);
    trace.graph = std::move(ran.graph);
    trace.spans = layer_spans(trace.graph, layers);
    trace.ranks = testing::kRanks;
    const std::vector<BytesPerSecond> capacity = usable_capacities(cluster);
    WatchedRun run = execute_watched(trace.graph,
                                     *make_network(NetworkEngine::kFluid, capacity),
                                     cluster,
                                     capacity,
                                     *std::max_element(unwatched.end.begin(), unwatched.end.end()));
    trace.times = std::move(run.times);
    trace.watched = std::move(run.watched);
    trace.links = std::move(run.links);
    for (const BytesPerSecond rate : usable_capacities(cluster)) {
      rates.push_back(rate.value);
      names.push_back(cluster.link_name(id_at<LinkId>(names.size())));
    }
  }

  [[nodiscard]] TimelineInput input() const {
    return {.trace = trace,
            .fabric = fabric,
            .link_rates = rates,
            .link_names = names,
            .scenario = "a \"quoted\" name",
            .step = 3};
  }

  [[nodiscard]] json document() const {
    std::string text;
    write_timeline(input(), [&](std::string_view piece) { text += piece; });
    return json::parse(text);
  }
};

double us(const StepTrace& trace, TaskId from, TaskId to) {
  return (trace.times.end[to.index()] - trace.times.start[from.index()]).to_seconds().value * 1e6;
}

TEST(Timeline, NamesItsTracksAndItsRun) {
  const json document = Scene().document();
  EXPECT_EQ(document["otherData"]["scenario"], "a \"quoted\" name");
  EXPECT_EQ(document["otherData"]["step"], 3);
  EXPECT_EQ(document["otherData"]["ranks_shown"], 4);
  std::map<int, std::string> processes;
  for (const json& event : document["traceEvents"]) {
    if (event["name"] == "process_name") {
      processes[event["pid"].get<int>()] = event["args"]["name"].get<std::string>();
    }
  }
  EXPECT_THAT(processes,
              ::testing::ElementsAre(::testing::Pair(0, "rank 0 (node0/gpu0)"),
                                     ::testing::Pair(1, "rank 1 (node0/gpu1)"),
                                     ::testing::Pair(2, "rank 2 (node1/gpu0)"),
                                     ::testing::Pair(3, "rank 3 (node1/gpu1)"),
                                     ::testing::Pair(4, "network")));
}

TEST(Timeline, DurationsAreThoseOfTheTasks) {
  const Scene scene;
  std::map<std::string, double> sums;
  const json document = scene.document();
  for (const json& event : document["traceEvents"]) {
    if (event["ph"] == "X") {
      sums[event["name"].get<std::string>()] += event["dur"].get<double>();
    }
  }
  std::map<std::string, double> expected;
  for (const LayerTasks& layer : scene.layers) {
    for (std::size_t r = 0; r < testing::kRanks; ++r) {
      const auto add = [&](const char* name, TaskId from, TaskId to) {
        expected[name] += us(scene.trace, from, to);
      };
      add("gate", layer.gate[r], layer.gate[r]);
      add("dispatch", layer.dispatch_start[r], layer.dispatch_done[r]);
      add("experts", layer.experts[r], layer.experts[r]);
      add("combine", layer.combine_start[r], layer.combine_done[r]);
      add("weighted sum", layer.done[r], layer.done[r]);
      add("kernel start", layer.dispatch_start[r], layer.dispatch_start[r]);
      add("kernel start", layer.combine_start[r], layer.combine_start[r]);
    }
  }
  ASSERT_EQ(sums.size(), expected.size());
  for (const auto& [name, sum] : expected) {
    EXPECT_NEAR(sums[name], sum, 1e-6) << name;
  }
}

/// Complete events of one track are apart or inside one another.
TEST(Timeline, EventsOfATrackNest) {
  using Track = std::pair<int, int>;
  std::map<Track, std::vector<std::pair<double, double>>> tracks;
  const json document = Scene().document();
  for (const json& event : document["traceEvents"]) {
    if (event["ph"] == "X") {
      tracks[{event["pid"].get<int>(), event["tid"].get<int>()}].emplace_back(
          event["ts"].get<double>(), event["dur"].get<double>());
    }
  }
  EXPECT_EQ(tracks.size(), 8U);
  for (auto& [track, events] : tracks) {
    for (std::size_t i = 0; i < events.size(); ++i) {
      for (std::size_t j = i + 1; j < events.size(); ++j) {
        const auto [a, a_length] = events[i];
        const auto [b, b_length] = events[j];
        const double shared = std::min(a + a_length, b + b_length) - std::max(a, b);
        EXPECT_TRUE(shared < 1e-6 || shared > std::min(a_length, b_length) - 1e-6)
            << track.first << ": " << a << " + " << a_length << ", " << b << " + " << b_length;
      }
    }
  }
}

TEST(Timeline, EveryFlowBeginsAndEndsWithItsBytesAndDestination) {
  const Scene scene;
  std::map<int, double> begun;
  std::size_t flows = 0;
  double bytes = 0.0;
  const json document = scene.document();
  for (const json& event : document["traceEvents"]) {
    if (event["ph"] == "b" && event["cat"] == "flow") {
      begun[event["id"].get<int>()] = event["ts"].get<double>();
      bytes += event["args"]["bytes"].get<double>();
      EXPECT_THAT(event["args"]["to"].get<std::string>(), ::testing::HasSubstr("/gpu"));
      ++flows;
    } else if (event["ph"] == "e" && event["cat"] == "flow") {
      ASSERT_TRUE(begun.contains(event["id"].get<int>()));
      EXPECT_GT(event["ts"].get<double>(), begun[event["id"].get<int>()]);
      begun.erase(event["id"].get<int>());
    }
  }
  double expected = 0.0;
  std::size_t count = 0;
  for (const Task& task : scene.trace.graph.tasks) {
    expected += task.bytes.value;
    count += task.flow_path >= 0 ? 1 : 0;
  }
  EXPECT_TRUE(begun.empty());
  EXPECT_GT(flows, 8U);
  EXPECT_EQ(flows, count);
  EXPECT_DOUBLE_EQ(bytes, expected);
}

TEST(TimelineCounters, AreasAreTheBytesOfTheLinks) {
  const Scene scene;
  const Counters counters = timeline_counters(scene.input());
  std::vector<double> link_bytes(scene.rates.size());
  for (const Task& task : scene.trace.graph.tasks) {
    if (task.flow_path >= 0) {
      for (const LinkId link :
           scene.trace.graph.paths[static_cast<std::size_t>(task.flow_path)].links) {
        link_bytes[link.index()] += task.bytes.value;
      }
    }
  }
  const double interval = counters.interval.to_seconds().value;
  std::size_t links = 0;
  for (std::size_t i = 0; i < scene.names.size(); ++i) {
    for (const Counter& counter : counters.counters) {
      if (counter.name == scene.names[i] + ": utilisation") {
        const double area = std::accumulate(counter.values.begin(), counter.values.end(), 0.0) *
                            interval / 100 * scene.rates[i];
        EXPECT_NEAR(area, link_bytes[i], 1e-9 * link_bytes[i]) << counter.name;
        ++links;
      }
    }
  }
  EXPECT_EQ(links, kWatchedLinks);
}

TEST(TimelineCounters, LookingOnChangesNoTime) {
  const Scene scene;
  EXPECT_EQ(scene.trace.times.start, scene.unwatched.start);
  EXPECT_EQ(scene.trace.times.end, scene.unwatched.end);
}

TEST(TimelineCounters, NoLinkIsEverBusierThanItCanBe) {
  const Scene scene;
  const Counters counters = timeline_counters(scene.input());
  EXPECT_TRUE(counters.is_exact);
  double most = 0.0;
  for (const Counter& counter : counters.counters) {
    if (counter.unit == "percent") {
      most = std::max(most, *std::max_element(counter.values.begin(), counter.values.end()));
    }
  }
  EXPECT_LE(most, 100.001);  // flows end on whole picoseconds
  EXPECT_GT(most, 99.0);     // some link is full for a while
}

// Engines without rates spread bytes evenly; the areas stay exact.
TEST(TimelineCounters, WithoutRatesTheBytesAreSpreadAndTheAreasStayExact) {
  Scene scene;
  const Counters exact = timeline_counters(scene.input());
  scene.trace.links.bytes.clear();
  const Counters spread = timeline_counters(scene.input());
  EXPECT_FALSE(spread.is_exact);
  ASSERT_EQ(spread.counters.size(), exact.counters.size());
  for (std::size_t i = 0; i < exact.counters.size(); ++i) {
    const auto sum = [](const Counter& counter) {
      return std::accumulate(counter.values.begin(), counter.values.end(), 0.0);
    };
    EXPECT_NEAR(sum(spread.counters[i]), sum(exact.counters[i]), 1e-6 * sum(exact.counters[i]))
        << exact.counters[i].name;
  }
}

/// A trace of n ranks, one of which sends all the flows.
StepTrace busy_rank(std::size_t ranks, std::size_t busy, std::size_t flows) {
  StepTrace trace;
  trace.ranks = static_cast<int>(ranks);
  for (std::size_t i = 0; i < flows; ++i) {
    trace.graph.add_flow(
        {.kind = TaskKind::kDispatchFlow, .rank = static_cast<std::int32_t>(busy)}, 0, bytes(1));
  }
  return trace;
}

TEST(TimelineRanks, AllOfFewAndASampleOfMany) {
  EXPECT_EQ(timeline_ranks(busy_rank(64, 0, 10)).size(), 64U);
  const std::vector<RankId> sample = timeline_ranks(busy_rank(256, 1, 10));
  ASSERT_EQ(sample.size(), 64U);
  EXPECT_EQ(sample[0], RankId{0});
  EXPECT_EQ(sample[1], RankId{5});  // of 4 to 7, the second
  EXPECT_EQ(sample[63], RankId{255});
}

TEST(TimelineRanks, RanksWithTooManyFlowsAreThinnedOut) {
  EXPECT_EQ(timeline_ranks(busy_rank(8, 1, kMostFlowEvents + 1)).size(), 4U);
  EXPECT_EQ(timeline_ranks(busy_rank(8, 0, kMostFlowEvents + 1)).size(), 1U);
}

}  // namespace
}  // namespace moesim
