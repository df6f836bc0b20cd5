// SPDX-License-Identifier: Apache-2.0
// The fluid engine against SimGrid, flow by flow.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "sim/core/rng.hpp"
#include "sim/network/network.hpp"
#include "sim/network/simgrid_batch.hpp"
#include "tests/network/random_systems.hpp"
#include "tests/network/test_fabrics.hpp"

namespace moesim {
namespace {

class SimGridOracle : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!is_available(NetworkEngine::kSimGrid)) {
      GTEST_SKIP() << "SimGrid was not found when this build was configured";
    }
  }
};

/// 1e-6: SimGrid compares rates to 1e-5 of our smallest part of a byte and times to 1e-13 s.
void expect_near(const std::vector<SimTime>& fluid, const std::vector<SimTime>& simgrid) {
  ASSERT_EQ(fluid.size(), simgrid.size());
  for (std::size_t f = 0; f < fluid.size(); ++f) {
    const double expected = simgrid[f].to_seconds().value;
    ASSERT_NEAR(fluid[f].to_seconds().value, expected, 1e-6 * expected) << "flow " << f;
  }
}

TEST_F(SimGridOracle, AgreesOnThirtyRandomSystems) {
  std::size_t num_capped = 0;
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    const auto s = testing::random_system(seed, {.max_links = 12, .max_flows = 25});
    SCOPED_TRACE(seed);
    expect_near(testing::run_capped(*make_network(NetworkEngine::kFluid, s.capacity), s.flows),
                testing::run_capped(*make_network(NetworkEngine::kSimGrid, s.capacity), s.flows));
    num_capped += static_cast<std::size_t>(
        std::count_if(s.flows.begin(), s.flows.end(), [](const testing::RandomFlow& flow) {
          return std::isfinite(flow.rate_cap.value);
        }));
  }
  EXPECT_GT(num_capped, 50U);
}

void expect_agreement(const testing::Fabric& fabric, const WorkloadSpec& spec) {
  SCOPED_TRACE(std::string(fabric.name) + " of " + std::to_string(spec.gpus));
  const auto flows = to_batch(make_workload(spec), fabric.path, microseconds(3));
  const auto fluid = run_batch(*make_network(NetworkEngine::kFluid, fabric.capacity), flows);
  const auto simgrid = run_batch(*make_network(NetworkEngine::kSimGrid, fabric.capacity), flows);
  EXPECT_GT(fluid.events, static_cast<std::int64_t>(flows.size()) / 3);  // uneven, not one batch
  expect_near(fluid.finish, simgrid.finish);
}

TEST_F(SimGridOracle, AgreesOnUnevenAllToAlls) {
  for (const int gpus : {16, 32, 64}) {
    for (const auto& fabric : {testing::star(gpus), testing::rail(gpus), testing::fat_tree(gpus)}) {
      expect_agreement(fabric, {.gpus = gpus, .tokens_per_gpu = 1024});
    }
  }
}

TEST_F(SimGridOracle, AgreesOnDistinctSizesAndOnAggregatedMessages) {
  expect_agreement(testing::rail(32), {.gpus = 32, .sizes = WorkloadSizes::kDistinct});
  expect_agreement(testing::rail(64),
                   {.gpus = 64, .tokens_per_gpu = 1024, .skew = 0.0, .aggregated = true});
}

/// The driver with mailboxes is another program on the same solver; a short flow's finish is told
/// to the picosecond.
void expect_mailboxes_agree(const WorkloadSpec& spec, SimGridUpdates updates, Seconds stagger) {
  const auto fabric = testing::rail(spec.gpus);
  const auto pairs = make_workload(spec);
  auto flows = to_batch(pairs, fabric.path, microseconds(3));
  RngStream rng(1, "oracle starts");
  for (BatchFlow& flow : flows) {
    flow.start = ticks(rng.uniform01() * stagger);
  }
  const auto fluid = run_batch(*make_network(NetworkEngine::kFluid, fabric.capacity), flows);
  const auto simgrid = run_on_simgrid(fabric.capacity, flows, pairs, updates);
  EXPECT_GT(simgrid.run_cpu_s, 0.0);
  // 1e-9 of the finish and the picosecond of either clock; but SimGrid takes events closer than
  // 1e-9 s as one in its lazy updates and at each of its timers.
  const bool merges = updates == SimGridUpdates::kLazy || stagger.value > 0.0;
  const double picoseconds = merges ? 10'000 : 2;
  for (std::size_t f = 0; f < flows.size(); ++f) {
    const auto expected = static_cast<double>(simgrid.finish[f].picoseconds);
    ASSERT_NEAR(
        static_cast<double>(fluid.finish[f].picoseconds), expected, 1e-9 * expected + picoseconds)
        << "flow " << f;
  }
}

TEST_F(SimGridOracle, AgreesWithMailboxesTo1e9OfEachFinish) {
  for (const WorkloadSizes sizes :
       {WorkloadSizes::kTokens, WorkloadSizes::kDistinct, WorkloadSizes::kUniform}) {
    expect_mailboxes_agree(
        {.gpus = 32, .tokens_per_gpu = 1024, .sizes = sizes}, SimGridUpdates::kFull, {});
  }
  expect_mailboxes_agree(
      {.gpus = 64, .tokens_per_gpu = 1024, .aggregated = true}, SimGridUpdates::kLazy, {});
}

TEST_F(SimGridOracle, AgreesWithMailboxesOnStaggeredStarts) {
  expect_mailboxes_agree(
      {.gpus = 32, .tokens_per_gpu = 1024}, SimGridUpdates::kFull, microseconds(500));
}

}  // namespace
}  // namespace moesim
