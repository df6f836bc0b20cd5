// SPDX-License-Identifier: Apache-2.0
// The SimGrid engine as a Network, and the child process that it lives in.
#include <gmock/gmock-more-matchers.h>
#include <gtest/gtest.h>

#include <csignal>

#include "sim/core/diagnostics.hpp"
#include "sim/network/child_process.hpp"
#include "sim/network/network.hpp"
#include "sim/network/simgrid_sharing.hpp"

namespace moesim {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::ThrowsMessage;

constexpr SimTime at(double s) {
  return {static_cast<std::int64_t>(s * 1e12)};
}

TEST(Engines, FluidIsAlwaysInTheBuildAndSimGridSaysWhetherItIs) {
  EXPECT_TRUE(is_available(NetworkEngine::kFluid));
  const std::vector<BytesPerSecond> capacity{{100}};
  if (is_available(NetworkEngine::kSimGrid)) {
    EXPECT_NE(make_network(NetworkEngine::kSimGrid, capacity), nullptr);
  } else {
    EXPECT_THAT(
        [&] { return make_network(NetworkEngine::kSimGrid, capacity); },
        ThrowsMessage<EnvironmentError>(
            "network engine \"simgrid\" is not in this build (SimGrid was not found when it was "
            "configured)"));
  }
}

// The worked staggered start of fluid_test.cpp: 100 B/s, A of 300 B from 0 s, B of 100 B from 1 s
// with a latency of 3 s. B drains at 3 s and completes at 6 s, A at 4 s.
TEST(SimGrid, StartsFlowsLateAndPaysLatencyAfterTheDrain) {
  if (!is_available(NetworkEngine::kSimGrid)) {
    GTEST_SKIP() << "SimGrid was not found when this build was configured";
  }
  const std::vector<BytesPerSecond> capacity{{100}};
  const auto network = make_network(NetworkEngine::kSimGrid, capacity);
  const std::vector<LinkId> link{{0}};
  network->start({.links = link, .bytes = {300}, .latency = {0}});
  EXPECT_THAT(network->advance(at(1)), IsEmpty());
  EXPECT_EQ(network->now(), at(1));
  network->start({.links = link, .bytes = {100}, .latency = {3}});
  EXPECT_THAT(network->advance(SimTime::never()), ElementsAre(FlowId{0}));
  EXPECT_EQ(network->now(), at(4));
  EXPECT_THAT(network->advance(SimTime::never()), ElementsAre(FlowId{1}));
  EXPECT_EQ(network->now(), at(6));
  EXPECT_EQ(network->events(), 2);
  EXPECT_THAT(network->advance(SimTime::never()), IsEmpty());
}

TEST(SimGrid, TwoNetworksRunSideBySideAndPrintNothing) {
  if (!is_available(NetworkEngine::kSimGrid)) {
    GTEST_SKIP() << "SimGrid was not found when this build was configured";
  }
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  {
    const std::vector<BytesPerSecond> slow{{100}};
    const std::vector<BytesPerSecond> fast{{200}};
    const auto one = make_network(NetworkEngine::kSimGrid, slow);
    const auto two = make_network(NetworkEngine::kSimGrid, fast);
    const std::vector<LinkId> link{{0}};
    one->start({.links = link, .bytes = {100}, .latency = {0}});
    two->start({.links = link, .bytes = {100}, .latency = {0}});
    EXPECT_THAT(one->advance(SimTime::never()), ElementsAre(FlowId{0}));
    EXPECT_THAT(two->advance(SimTime::never()), ElementsAre(FlowId{0}));
    EXPECT_EQ(one->now(), at(1));
    EXPECT_EQ(two->now(), at(0.5));
  }
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST(ChildProcess, AnswersUntilTheStreamIsClosed) {
  ChildProcess child([](ByteStream& stream) {
    int n = 0;
    while (stream.get(n)) {
      stream.put(n + 1);
      stream.flush();
    }
  });
  for (int n = 0; n < 3; ++n) {
    child.stream().put(n);
    child.stream().flush();
    int answer = 0;
    ASSERT_TRUE(child.stream().get(answer));
    EXPECT_EQ(answer, n + 1);
  }
}

TEST(ChildProcess, TellsHowAChildEnded) {
  int nothing = 0;
  ChildProcess killed([](ByteStream&) { std::raise(SIGTERM); });
  EXPECT_FALSE(killed.stream().get(nothing));
  EXPECT_EQ(killed.ending(), "signal 15");
  ChildProcess thrown([](ByteStream&) { throw EnvironmentError("words"); });
  EXPECT_FALSE(thrown.stream().get(nothing));
  EXPECT_EQ(thrown.ending(), "exit code 70");
}

TEST(ChildProcess, ReportsAMessageThatBreaksOff) {
  ChildProcess child([](ByteStream& stream) {
    stream.put('x');
    stream.flush();
  });
  int four_bytes = 0;
  EXPECT_THAT([&] { return child.stream().get(four_bytes); },
              ThrowsMessage<EnvironmentError>("another process ended in the middle of a message"));
}

TEST(ChildProcess, WritingToAnEndedChildIsAnErrorAndNotASignal) {
  ChildProcess child([](ByteStream&) {});
  int nothing = 0;
  EXPECT_FALSE(child.stream().get(nothing));
  child.stream().put(1);
  EXPECT_THAT([&] { child.stream().flush(); },
              ThrowsMessage<EnvironmentError>("send to another process failed: Broken pipe"));
}

}  // namespace
}  // namespace moesim
