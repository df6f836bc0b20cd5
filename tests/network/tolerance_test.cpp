// SPDX-License-Identifier: Apache-2.0
// A window of the fluid engine against its exact mode.
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "sim/network/network.hpp"
#include "tests/network/test_fabrics.hpp"

namespace moesim {
namespace {

using ::testing::ElementsAre;

constexpr SimTime at(double s) {
  return {static_cast<std::int64_t>(s * 1e12)};
}

// 100 B/s, window 1 s. Both at 50 until the short one (100 B) drains at 2 s, told at 2 s; its share
// is free at 3 s. The long one (300 B) has 150 B left then and runs at 100: 4.5 s instead of 4 s.
TEST(Tolerance, ADrainedFlowHoldsItsShareForTheWindow) {
  const std::vector<BytesPerSecond> capacity{{100}};
  const std::vector<BatchFlow> flows{{.links = {{0}}, .bytes = {300}},
                                     {.links = {{0}}, .bytes = {100}}};
  const NetworkSettings settings{.engine = NetworkEngine::kFluid, .window = at(1)};
  EXPECT_THAT(run_batch(*make_network(settings, capacity), flows).finish,
              ElementsAre(at(4.5), at(2)));
}

// As above, and a third flow starts at 2.5 s: the held share is given up at once. From 2.5 s two
// flows share: long has 175 B left, at 50 B/s; the third (50 B) drains at 3.5 s, holds until 4.5 s;
// long has 75 B left then and runs at 100: 5.25 s.
TEST(Tolerance, AStartEndsTheWindow) {
  const std::vector<BytesPerSecond> capacity{{100}};
  const std::vector<BatchFlow> flows{{.links = {{0}}, .bytes = {300}},
                                     {.links = {{0}}, .bytes = {100}},
                                     {.links = {{0}}, .bytes = {50}, .start = at(2.5)}};
  const NetworkSettings settings{.engine = NetworkEngine::kFluid, .window = at(1)};
  EXPECT_THAT(run_batch(*make_network(settings, capacity), flows).finish,
              ElementsAre(at(5.25), at(2), at(3.5)));
}

struct Deviation {
  double late = 0.0;   ///< worst flow, share of the makespan
  double early = 0.0;  ///< worst flow, share of the makespan
};

Deviation deviation(const testing::Fabric& fabric, const WorkloadSpec& spec, double tolerance) {
  const auto flows = to_batch(make_workload(spec), fabric.path, seconds(0));
  const auto exact = run_batch(*make_network(NetworkEngine::kFluid, fabric.capacity), flows);
  const auto makespan = std::max_element(exact.finish.begin(), exact.finish.end())->to_seconds();
  const NetworkSettings settings{.engine = NetworkEngine::kFluid,
                                 .window = ticks(tolerance / 6 * makespan)};
  const auto near = run_batch(*make_network(settings, fabric.capacity), flows);
  Deviation worst;
  for (std::size_t f = 0; f < flows.size(); ++f) {
    const double late = (near.finish[f] - exact.finish[f]).to_seconds() / makespan;
    worst.late = std::max(worst.late, late);
    worst.early = std::max(worst.early, -late);
  }
  return worst;
}

// A sixth of the tolerance as window keeps every flow within the tolerance, on all fabrics.
TEST(Tolerance, EveryFlowIsLateByTheToleranceAtMostAndHardlyEarly) {
  for (const auto& fabric : {testing::star(64), testing::rail(64), testing::fat_tree(64)}) {
    for (const double skew : {0.0, 0.5}) {
      for (const double tolerance : {1e-3, 1e-2}) {
        SCOPED_TRACE(std::string(fabric.name) + " " + std::to_string(skew));
        const auto worst = deviation(
            fabric,
            {.gpus = 64, .tokens_per_gpu = 1024, .skew = skew, .sizes = WorkloadSizes::kDistinct},
            tolerance);
        EXPECT_LE(worst.late, tolerance);
        EXPECT_LE(worst.early, tolerance / 2);
        EXPECT_GT(worst.late, tolerance / 100);  // the window is used at all
      }
    }
  }
}

}  // namespace
}  // namespace moesim
