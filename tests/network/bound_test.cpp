// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "sim/network/network.hpp"
#include "tests/network/test_fabrics.hpp"

namespace moesim {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

// Link 0 carries 300 B at 100 B/s: 3 s. No flow alone needs more than 2 s.
TEST(Bound, IsTheBusiestLink) {
  const std::vector<BytesPerSecond> capacity{{100}, {1000}};
  const std::vector<BatchFlow> flows{{.links = {{0}, {1}}, .bytes = {200}},
                                     {.links = {{0}}, .bytes = {100}}};
  EXPECT_EQ(makespan_bound(capacity, flows), seconds(3));
}

// From the first start at 1 s: the second flow starts 4 s later, takes 200 / 50 = 4 s and 0.5 s.
TEST(Bound, OrTheFlowThatMustEndLast) {
  const std::vector<BytesPerSecond> capacity{{100}, {50}};
  const std::vector<BatchFlow> flows{
      {.links = {{0}}, .bytes = {100}, .start = ticks(seconds(1))},
      {.links = {{0}, {1}}, .bytes = {200}, .latency = {0.5}, .start = ticks(seconds(5))}};
  EXPECT_EQ(makespan_bound(capacity, flows), seconds(8.5));
}

// Two flows of 100 B at 100 B/s with latencies 1 s and 5 s: the last byte is out at 2 s at the
// earliest and still has at least 1 s to go (3 s); the second flow alone needs 1 + 5 = 6 s.
TEST(Bound, CountsTheLeastLatencyOfALink) {
  const std::vector<BytesPerSecond> capacity{{100}};
  std::vector<BatchFlow> flows{{.links = {{0}}, .bytes = {100}, .latency = {1}},
                               {.links = {{0}}, .bytes = {100}, .latency = {5}}};
  EXPECT_EQ(makespan_bound(capacity, flows), seconds(6));
  flows[1].latency = seconds(1.5);
  EXPECT_EQ(makespan_bound(capacity, flows), seconds(3));
}

TEST(Bound, OfNothingIsZero) {
  EXPECT_EQ(makespan_bound({}, {}), seconds(0));
}

TEST(Bound, RefusesLinksThatAreNotThere) {
  const std::vector<BytesPerSecond> capacity{{0}};
  const std::vector<BatchFlow> dead{{.links = {{0}}, .bytes = {1}}};
  const std::vector<BatchFlow> beyond{{.links = {{1}}, .bytes = {1}}};
  EXPECT_THAT([&] { return makespan_bound(capacity, dead); },
              ThrowsMessage<std::logic_error>(HasSubstr("a flow crosses a link without capacity")));
  EXPECT_THAT([&] { return makespan_bound(capacity, beyond); },
              ThrowsMessage<std::logic_error>(HasSubstr("no such link")));
}

// A simultaneous all-to-all keeps its busiest link busy to the end.
TEST(Bound, IsReachedByASimultaneousAllToAllINV3) {
  const auto fabric = testing::rail(32);
  const auto flows =
      to_batch(make_workload({.gpus = 32, .tokens_per_gpu = 256}), fabric.path, seconds(0));
  const auto result = run_batch(*make_network(NetworkEngine::kFluid, fabric.capacity), flows);
  const SimTime makespan = *std::max_element(result.finish.begin(), result.finish.end());
  EXPECT_NEAR(makespan.to_seconds() / makespan_bound(fabric.capacity, flows), 1.0, 1e-8);
}

}  // namespace
}  // namespace moesim
