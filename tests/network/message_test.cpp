// SPDX-License-Identifier: Apache-2.0
// Worked numbers of the message engine. Capacities are in bytes/s.
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>

#include "sim/network/message_sharing.hpp"
#include "tests/network/test_fabrics.hpp"

namespace moesim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

constexpr SimTime at(double s) {
  return {static_cast<std::int64_t>(s * 1e12)};
}

std::vector<SimTime> run(const std::vector<BytesPerSecond>& capacity,
                         const std::vector<BatchFlow>& flows,
                         NetworkSettings settings = {}) {
  settings.engine = NetworkEngine::kMessage;
  return run_batch(*make_network(settings, capacity), flows).finish;
}

// 100 B/s: the first message (300 B) leaves at 3 s, the second (100 B) waited for it: 4 s.
TEST(Message, ALinkServesWholeMessagesInOrder) {
  EXPECT_THAT(run({{100}}, {{.links = {{0}}, .bytes = {300}}, {.links = {{0}}, .bytes = {100}}}),
              ElementsAre(at(3), at(4)));
}

// The same in chunks of 100 B: a1 b a2 a3. The short one is out at 2 s.
TEST(Message, ChunksOfMessagesTakeTurns) {
  EXPECT_THAT(run({{100}},
                  {{.links = {{0}}, .bytes = {300}}, {.links = {{0}}, .bytes = {100}}},
                  {.chunk = bytes(100)}),
              ElementsAre(at(4), at(2)));
}

// 250 B over 100 B/s then 50 B/s, chunks of 100, 100 and 50. First link: out at 1, 2, 2.5 s.
// Second: 1 to 3, 3 to 5, 5 to 6 s.
TEST(Message, ChunksOverlapOnALinkAfterALink) {
  EXPECT_THAT(run({{100}, {50}}, {{.links = {{0}, {1}}, .bytes = {250}}}, {.chunk = bytes(100)}),
              ElementsAre(at(6)));
}

// Stored whole before it goes on: 200/100 + 200/50 = 6 s.
TEST(Message, AWholeMessageIsStoredAtEachLink) {
  EXPECT_THAT(run({{100}, {50}}, {{.links = {{0}, {1}}, .bytes = {200}}}), ElementsAre(at(6)));
}

// Incast: both leave their senders at 1 s; the receiver takes link 0's first (lower number): 2, 3
// s. The latency of 1 s is paid after the last link.
TEST(Message, AReceiverServesSendersOneAfterTheOther) {
  EXPECT_THAT(run({{100}, {100}, {100}},
                  {{.links = {{1}, {2}}, .bytes = {100}, .latency = {1}},
                   {.links = {{0}, {2}}, .bytes = {100}}}),
              ElementsAre(at(4), at(2)));
}

TEST(Message, ARateCapSlowsTheServiceOfItsMessage) {
  const std::vector<BytesPerSecond> capacity{{100}};
  const auto network = make_network({.engine = NetworkEngine::kMessage}, capacity);
  const std::vector<LinkId> link{{0}};
  network->start({.links = link, .bytes = {100}, .latency = {}, .rate_cap = {50}});
  EXPECT_THAT(network->advance(SimTime::never()), ElementsAre(FlowId{0}));
  EXPECT_EQ(network->now(), at(2));
}

TEST(Message, RefusesChunksWithoutBytes) {
  const std::vector<BytesPerSecond> capacity{{100}};
  EXPECT_THAT([&] { MessageSharing(capacity, bytes(0)); },
              ThrowsMessage<std::logic_error>(HasSubstr("a chunk without bytes")));
}

// Each link is busy from its first byte on: with small chunks the makespan nears the bound.
TEST(Message, SmallChunksNearTheBoundAndNoneBeatsItINV3) {
  const auto fabric = testing::star(16);
  const auto flows =
      to_batch(make_workload({.gpus = 16, .tokens_per_gpu = 512}), fabric.path, seconds(0));
  const auto bound = makespan_bound(fabric.capacity, flows);
  const auto ratio = [&](double chunk) {
    const auto finish = run(fabric.capacity, flows, {.chunk = bytes(chunk)});
    return std::max_element(finish.begin(), finish.end())->to_seconds() / bound;
  };
  EXPECT_GE(ratio(1e12), 1.0);
  EXPECT_GE(ratio(7168), 1.0);
  EXPECT_LT(ratio(7168), 1.01);
}

}  // namespace
}  // namespace moesim
