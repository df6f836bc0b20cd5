// SPDX-License-Identifier: Apache-2.0
#include "sim/network/batch_parts.hpp"

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <tbb/global_control.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <stdexcept>

#include "sim/network/wide_links.hpp"
#include "tests/network/test_fabrics.hpp"

namespace moesim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

constexpr SimTime at(double s) {
  return {static_cast<std::int64_t>(s * 1e12)};
}

// Links 0 and 1 are joined by the second flow, link 2 is alone: two parts. 100 B/s each.
// Part one: flows 0 and 1 share link 0 at 50 B/s; 100 B each: 2 s. Part two: 300 B from 1 s: 4 s.
TEST(PartedBatch, FlowsThatShareNoLinkRunApart) {
  const std::vector<BytesPerSecond> capacity{{100}, {100}, {100}};
  const std::vector<BatchFlow> flows{{.links = {{0}}, .bytes = {100}},
                                     {.links = {{0}, {1}}, .bytes = {100}},
                                     {.links = {{2}}, .bytes = {300}, .start = at(1)}};
  PartedBatch batch({}, capacity, flows);
  EXPECT_EQ(batch.num_parts(), 2U);
  const BatchResult result = batch.run();
  EXPECT_THAT(result.finish, ElementsAre(at(2), at(2), at(4)));
  EXPECT_EQ(result.events, 2);
}

// 0 (PCIe, 400 B/s) is always followed by 1 (100 B/s): never binds. 2 follows 1 always and is as
// narrow: 1 never binds because of 2, which stays. 3 and 4 have no neighbour that is always there.
// 5 (200 B/s) always comes after 4 (50 B/s), not so 4 before 5.
TEST(WideLinks, NeverBindWhereANarrowerNeighbourIsOnEveryPath) {
  const std::vector<BytesPerSecond> capacity{{400}, {100}, {100}, {70}, {50}, {200}};
  const std::vector<BatchFlow> flows{{.links = {{0}, {1}, {2}, {3}}, .bytes = {1}},
                                     {.links = {{0}, {1}, {2}, {4}, {5}}, .bytes = {1}},
                                     {.links = {{4}}, .bytes = {1}},
                                     {.links = {{3}}, .bytes = {1}}};
  EXPECT_THAT(links_that_never_bind(capacity, flows),
              ElementsAre(true, true, false, false, false, true));
  EXPECT_EQ(PartedBatch({}, capacity, flows).num_parts(), 1U);
}

TEST(PartedBatch, TellsHowManyFlowsHaveFinished) {
  const auto fabric = testing::star(128);
  const auto flows = to_batch(
      make_workload({.gpus = 128, .gpus_per_node = 1, .tokens_per_gpu = 64}), fabric.path, {});
  PartedBatch batch({}, fabric.capacity, flows);
  std::vector<std::int64_t> told;
  (void)batch.run({.cancelled = nullptr, .on_progress = [&](auto n) { told.push_back(n); }});
  EXPECT_GT(told.size(), 2U);
  EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
  EXPECT_EQ(told.back(), static_cast<std::int64_t>(flows.size()));
}

TEST(PartedBatch, EndsAtOnceWhenCancelled) {
  const std::vector<BytesPerSecond> capacity{{100}};
  const std::vector<BatchFlow> flows{{.links = {{0}}, .bytes = {100}},
                                     {.links = {{0}}, .bytes = {200}}};
  std::atomic<bool> cancelled = true;
  PartedBatch batch({}, capacity, flows);
  EXPECT_EQ(batch.run({.cancelled = &cancelled, .on_progress = {}}).events, 0);
}

TEST(PartedBatch, RefusesLinksThatAreNotThere) {
  const std::vector<BytesPerSecond> capacity{{100}};
  const std::vector<BatchFlow> flows{{.links = {{1}}, .bytes = {100}}};
  EXPECT_THAT([&] { PartedBatch({}, capacity, flows); },
              ThrowsMessage<std::logic_error>(HasSubstr("no such link")));
}

std::vector<BatchFlow> aggregated(const testing::Fabric& fabric) {
  return to_batch(make_workload({.gpus = 64, .tokens_per_gpu = 1024, .aggregated = true}),
                  fabric.path,
                  microseconds(2));
}

TEST(PartedBatch, FinishesWhenOneNetworkDoes) {
  const auto fabric = testing::rail(64);
  const auto flows = aggregated(fabric);
  PartedBatch batch({}, fabric.capacity, flows);
  EXPECT_EQ(batch.num_parts(), 16U);  // 8 rails, 8 nodes
  const auto parted = batch.run();
  const auto whole = run_batch(*make_network(NetworkEngine::kFluid, fabric.capacity), flows);
  for (std::size_t f = 0; f < flows.size(); ++f) {
    ASSERT_NEAR(static_cast<double>(parted.finish[f].picoseconds),
                static_cast<double>(whole.finish[f].picoseconds),
                1e-9 * static_cast<double>(whole.finish[f].picoseconds) + 5)
        << "flow " << f;
  }
}

TEST(PartedBatch, GivesTheSameTicksAtAnyNumberOfThreadsINV6) {
  const auto fabric = testing::rail(64);
  const auto flows = aggregated(fabric);
  std::vector<BatchResult> results;
  for (const std::size_t threads : {1U, 2U, 5U}) {
    const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, threads);
    results.push_back(PartedBatch({}, fabric.capacity, flows).run());
  }
  EXPECT_EQ(results[0].finish, results[1].finish);
  EXPECT_EQ(results[0].finish, results[2].finish);
}

}  // namespace
}  // namespace moesim
