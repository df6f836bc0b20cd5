// SPDX-License-Identifier: Apache-2.0
// Worked numbers: each finish time is derived by hand above its test. Capacities are in bytes/s.
#include "sim/network/fluid.hpp"

#include <gmock/gmock-more-matchers.h>
#include <gtest/gtest.h>

#include <numeric>
#include <span>
#include <stdexcept>

#include "sim/core/rng.hpp"
#include "sim/network/flow_progress.hpp"
#include "sim/network/network.hpp"

namespace moesim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::ThrowsMessage;

constexpr SimTime at(double s) {
  return {static_cast<std::int64_t>(s * 1e12)};
}

BatchResult run(const std::vector<BytesPerSecond>& capacity, const std::vector<BatchFlow>& flows) {
  return run_batch(*make_network(NetworkEngine::kFluid, capacity), flows);
}

// 100 B/s. Both at 50 until the short one (100 B) is out at 2 s; the long one (300 B) has 200 left
// and runs at 100: 4 s.
TEST(Fluid, TwoFlowsShareALinkAndTheFirstToEndLeavesItsShare) {
  const auto result =
      run({{100}}, {{.links = {{0}}, .bytes = {300}}, {.links = {{0}}, .bytes = {100}}});
  EXPECT_THAT(result.finish, ElementsAre(at(4), at(2)));
  EXPECT_EQ(result.events, 2);
}

// Links of 100, 60, 90 and 120 B a flow. Rates (long, 1, 2, 3) = 30, 70, 30, 60.
// Flow 1 ends at 120/70 = 1.714285714286 s; nothing changes, as link 1 was no bottleneck of long.
// Flow 3 ends at 2 s. Long and flow 2 share link 2 to the end: 120/30 = 4 s.
TEST(Fluid, ParkingLotOfThreeLinks) {
  const auto result = run({{100}, {60}, {90}},
                          {{.links = {{0}, {1}, {2}}, .bytes = {120}},
                           {.links = {{0}}, .bytes = {120}},
                           {.links = {{1}}, .bytes = {120}},
                           {.links = {{2}}, .bytes = {120}}});
  EXPECT_THAT(result.finish, ElementsAre(at(4), SimTime{1714285714286}, at(4), at(2)));
  EXPECT_EQ(result.events, 3);
}

// 100 B/s, 300 and 100 B: at 1 s each has had 50; at 3 s the short one is out and the long one has
// 100 left. A third flow of the same path, started at 3 s, has all of its bytes left.
TEST(Fluid, WhatFlowsHaveLeftFollowsTheirRates) {
  const auto network = make_network(NetworkEngine::kFluid, std::vector<BytesPerSecond>{{100}});
  const std::vector<LinkId> path = {{0}};
  (void)network->start({.links = path, .bytes = {300}, .latency = {}});
  (void)network->start({.links = path, .bytes = {100}, .latency = {}});
  const FlowProgress* progress = flow_progress(*network);
  ASSERT_NE(progress, nullptr);
  std::vector<double> left(2, -1.0);
  ASSERT_TRUE(progress->remaining(left));
  EXPECT_THAT(left, ElementsAre(300, 100));
  EXPECT_THAT(network->advance(at(1)), IsEmpty());
  ASSERT_TRUE(progress->remaining(left));
  EXPECT_THAT(left, ElementsAre(250, 50));
  EXPECT_THAT(network->advance(at(3)), ElementsAre(FlowId{1}));
  EXPECT_THAT(network->advance(at(3)), IsEmpty());
  (void)network->start({.links = path, .bytes = {40}, .latency = {}});
  left.assign(3, -1.0);
  ASSERT_TRUE(progress->remaining(left));
  EXPECT_THAT(left, ElementsAre(100, -1, 40));
}

TEST(Fluid, EnginesWithoutRatesSayThatTheyDoNotKnowWhatIsLeft) {
  const auto network = make_network(NetworkEngine::kMessage, std::vector<BytesPerSecond>{{100}});
  std::vector<double> left;
  EXPECT_FALSE(flow_progress(*network)->remaining(left));
}

// 100 B/s. A (300 B) alone for 1 s: 200 left. B (100 B) joins at 1 s: 50 each. B is out at 3 s,
// A has 100 left and runs at 100: 4 s.
TEST(Fluid, AFlowThatStartsLaterTakesItsShare) {
  const auto result = run({{100}},
                          {{.links = {{0}}, .bytes = {300}, .start = at(0)},
                           {.links = {{0}}, .bytes = {100}, .start = at(1)}});
  EXPECT_THAT(result.finish, ElementsAre(at(4), at(3)));
}

// Order of the list is not the order of starting; the network idles from 1 s to 5 s.
TEST(Fluid, ABatchNeedNotBeSortedAndMayHaveGaps) {
  const auto result = run({{100}},
                          {{.links = {{0}}, .bytes = {200}, .start = at(5)},
                           {.links = {{0}}, .bytes = {100}, .start = at(0)}});
  EXPECT_THAT(result.finish, ElementsAre(at(7), at(1)));
}

// 100 B/s, cap 20: 60 B take 3 s; the other has 80: 240 B take 3 s too, both at once.
TEST(Fluid, ARateCapLeavesTheRestToTheOther) {
  const auto network = make_network(NetworkEngine::kFluid, std::vector<BytesPerSecond>{{100}});
  const std::vector<LinkId> link{{0}};
  network->start({.links = link, .bytes = {60}, .latency = {0}, .rate_cap = {20}});
  network->start({.links = link, .bytes = {240}, .latency = {0}});
  EXPECT_THAT(network->advance(SimTime::never()), ElementsAre(FlowId{0}, FlowId{1}));
  EXPECT_EQ(network->now(), at(3));
  EXPECT_EQ(network->events(), 1);
}

// 100 B/s. The short flow (100 B) drains at 2 s and completes 3 s later, at 5 s. Its share is free
// from 2 s on: the long one (300 B) drains at 4 s and has no latency.
TEST(Fluid, LatencyIsPaidAfterTheShareIsFreed) {
  const auto result = run({{100}},
                          {{.links = {{0}}, .bytes = {300}, .latency = {0}},
                           {.links = {{0}}, .bytes = {100}, .latency = {3}}});
  EXPECT_THAT(result.finish, ElementsAre(at(4), at(5)));
}

TEST(Fluid, FlowsThatEndTogetherCompleteInOneStepById) {
  const auto network =
      make_network(NetworkEngine::kFluid, std::vector<BytesPerSecond>{{100}, {200}});
  const std::vector<LinkId> narrow{{0}};
  const std::vector<LinkId> wide{{1}};
  network->start({.links = wide, .bytes = {200}, .latency = {0}});
  network->start({.links = narrow, .bytes = {100}, .latency = {0}});
  EXPECT_THAT(network->advance(SimTime::never()), ElementsAre(FlowId{0}, FlowId{1}));
  EXPECT_EQ(network->now(), at(1));
  EXPECT_EQ(network->events(), 1);
}

// Four flows alike (one class) of 10, 20, 20, 40 B on 40 B/s: 10 each until 1 s, 13.33 each until
// the next two are out of their last 10 B at 1.75 s, then 20 B at 40: 2.25 s.
// Each flow on a link of its own; every `apart`th ends at 1 s, the others at 3 s. Links drain in
// order of first use, which the shuffled starts make another one than that of ids.
TEST(Fluid, ManyFlowsThatEndTogetherCompleteByIdCloseOrFarApart) {
  for (const std::int32_t apart : {1, 3, 285}) {
    constexpr std::int32_t kFlows = 20000;
    FluidSharing sharing(std::vector<BytesPerSecond>(kFlows, {100}));
    std::vector<std::int32_t> ids(kFlows);
    std::iota(ids.begin(), ids.end(), 0);
    RngStream rng(1, "starts");
    shuffle(std::span(ids), rng);
    for (const std::int32_t id : ids) {
      const std::vector<LinkId> link{{id}};
      const double bytes = id % apart == 0 ? 100 : 300;
      sharing.start({id}, {.links = link, .bytes = {bytes}, .latency = {}});
    }
    std::int32_t next = 0;
    for (const FlowId id : sharing.advance(at(2))) {
      ASSERT_EQ(id.value, next);
      next += apart;
    }
    EXPECT_EQ(sharing.now(), at(1));
    EXPECT_EQ(next, (kFlows + apart - 1) / apart * apart);
  }
}

TEST(Fluid, FlowsAlikeEndInOrderOfSize) {
  const auto result = run({{40}},
                          {{.links = {{0}}, .bytes = {40}},
                           {.links = {{0}}, .bytes = {20}},
                           {.links = {{0}}, .bytes = {10}},
                           {.links = {{0}}, .bytes = {20}}});
  EXPECT_THAT(result.finish, ElementsAre(at(2.25), at(1.75), at(1), at(1.75)));
  EXPECT_EQ(result.events, 3);
}

TEST(Fluid, AdvanceStopsAtItsLimit) {
  const auto network = make_network(NetworkEngine::kFluid, std::vector<BytesPerSecond>{{100}});
  EXPECT_THAT(network->advance(at(1)), IsEmpty());
  EXPECT_EQ(network->now(), at(1));
  const std::vector<LinkId> link{{0}};
  network->start({.links = link, .bytes = {100}, .latency = {1}});
  EXPECT_THAT(network->advance(at(2)), IsEmpty());  // drained, not arrived
  EXPECT_EQ(network->now(), at(2));
  EXPECT_EQ(network->events(), 1);
  EXPECT_THAT(network->advance(at(3)), ElementsAre(FlowId{0}));
  EXPECT_EQ(network->now(), at(3));
  EXPECT_THAT(network->advance(SimTime::never()), IsEmpty());
  EXPECT_EQ(network->now(), at(3));
}

TEST(Fluid, AFlowMayStartWhereOneOfItsClassEnded) {
  const auto network = make_network(NetworkEngine::kFluid, std::vector<BytesPerSecond>{{100}});
  const std::vector<LinkId> link{{0}};
  for (int i = 0; i < 3; ++i) {
    network->start({.links = link, .bytes = {100}, .latency = {0}});
    EXPECT_THAT(network->advance(SimTime::never()), ElementsAre(FlowId{i}));
    EXPECT_EQ(network->now(), at(i + 1));
  }
}

TEST(Fluid, RefusesWhatIsNoFlow) {
  const auto network = make_network(NetworkEngine::kFluid, std::vector<BytesPerSecond>{{100}, {0}});
  const std::vector<LinkId> good{{0}};
  const std::vector<LinkId> dead{{1}};
  const std::vector<LinkId> beyond{{2}};
  const std::vector<LinkId> twice{{0}, {0}};
  const auto start = [&](const Flow& flow) { return [&network, flow] { network->start(flow); }; };
  const auto refuses = [](const char* words) {
    return ThrowsMessage<std::logic_error>(HasSubstr(words));
  };
  EXPECT_THAT(start({.links = {}, .bytes = {1}, .latency = {0}}),
              refuses("a flow crosses no link"));
  EXPECT_THAT(start({.links = good, .bytes = {0}, .latency = {0}}), refuses("a flow of 0 bytes"));
  EXPECT_THAT(start({.links = good, .bytes = {1}, .latency = {-1}}),
              refuses("a flow with a latency of -1 s"));
  EXPECT_THAT(start({.links = good, .bytes = {1}, .latency = {0}, .rate_cap = {0}}),
              refuses("a flow with a rate cap of 0 bytes/s"));
  EXPECT_THAT(start({.links = dead, .bytes = {1}, .latency = {0}}),
              refuses("a flow crosses link 1 of 0 bytes/s"));
  EXPECT_THAT(start({.links = beyond, .bytes = {1}, .latency = {0}}),
              refuses("a flow crosses link 2 of 2"));
  EXPECT_THAT(start({.links = twice, .bytes = {1}, .latency = {0}}),
              refuses("a flow crosses link 0 twice"));
  network->advance(at(1));
  EXPECT_THAT([&] { network->advance(at(0)); }, refuses("the clock would fall"));
}

TEST(RunBatch, RefusesANetworkThatIsNotFresh) {
  const auto network = make_network(NetworkEngine::kFluid, std::vector<BytesPerSecond>{{100}});
  const std::vector<BatchFlow> flows{{.links = {{0}}, .bytes = {100}, .latency = {0}, .start = {}}};
  EXPECT_EQ(run_batch(*network, flows).finish.front(), at(1));
  EXPECT_THAT(
      [&] { return run_batch(*network, flows); },
      ThrowsMessage<std::logic_error>(HasSubstr("a flow starts before the network's clock")));
}

TEST(RunBatch, OfNothingIsNothing) {
  const auto network = make_network(NetworkEngine::kFluid, std::vector<BytesPerSecond>{{100}});
  const BatchResult result = run_batch(*network, {});
  EXPECT_TRUE(result.finish.empty());
  EXPECT_EQ(result.events, 0);
}

}  // namespace
}  // namespace moesim
