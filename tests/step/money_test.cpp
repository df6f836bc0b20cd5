// SPDX-License-Identifier: Apache-2.0
// Costs by hand on 2 nodes of 2 GPUs with a NIC each on one switch: 4 NICs, 4 cables, 4 ports.
#include "sim/step/money.hpp"

#include <gtest/gtest.h>

#include "sim/step/serving_cost.hpp"
#include "tests/step/step_fixtures.hpp"

namespace moesim {
namespace {

PriceSpec prices() {
  PriceSpec p;
  p.source = "round numbers";
  p.gpu_purchase = {20'000};
  p.node_purchase = {10'000};
  p.nic_purchase = {1'000};
  p.switch_purchase = {500};
  p.cable_purchase = {250};
  p.depreciation_years = 5;
  p.upkeep_per_year = 0.1;
  p.gpu_busy = {1'000};
  p.gpu_idle = {100};
  p.node_power = {500};
  p.switch_power = {25};
  p.pue = 1.2;
  p.electricity = {0.1};
  p.gpu_rent = {3};
  p.utilisation = 0.5;
  return p;
}

Equipment all_of_it() {
  return {.gpus = 4, .nodes = 2, .nics = 4, .switch_ports = 4, .cables = 4};
}

TEST(Equipment, CountsWhatThePartHolds) {
  const Cluster cluster = build_cluster(testing::tiny_spec());
  const Equipment all = equipment_of(cluster, 4);
  EXPECT_EQ(all.gpus, 4);
  EXPECT_EQ(all.nodes, 2);
  EXPECT_EQ(all.nics, 4);
  EXPECT_EQ(all.switch_ports, 4);
  EXPECT_EQ(all.cables, 4);
  const Equipment half = equipment_of(cluster, 1);  // one GPU keeps its node
  EXPECT_EQ(half.gpus, 2);
  EXPECT_EQ(half.nodes, 1);
  EXPECT_EQ(half.nics, 2);
  EXPECT_EQ(half.cables, 2);
}

// Two leaves of one node (two NICs) each, and spines: 4 NIC cables, and for 2 * 10 GB/s down 20
// GB/s links one spine, so 2 cables more; ports: 4 at leaves below, 2 above, 2 at the spine.
TEST(Equipment, CountsBothEndsOfSwitchCables) {
  ClusterSpec spec = testing::tiny_spec();
  spec.fabric.kind = FabricKind::kFatTree;
  const Equipment all = equipment_of(build_cluster(spec), 4);
  EXPECT_EQ(all.cables, 6);
  EXPECT_EQ(all.switch_ports, 8);
}

// Purchase 80,000 + 20,000 + 4,000 + 2,000 + 1,000; over 5 years of 8,760 h; a tenth a year of
// upkeep. Power 1.2 * (4 * (500 + 50) + 2 * 500 + 4 * 25) W.
TEST(RunningCost, AddsUpByHand) {
  const RunningCost cost = running_cost(prices(), all_of_it());
  EXPECT_DOUBLE_EQ(cost.purchase.value, 107'000);
  EXPECT_DOUBLE_EQ(cost.depreciation.value, 107'000 / 43'800.0);
  EXPECT_DOUBLE_EQ(cost.upkeep.value, 10'700 / 8'760.0);
  EXPECT_DOUBLE_EQ(cost.power.value, 1.2 * (2'200 + 1'000 + 100));
  EXPECT_DOUBLE_EQ(cost.energy.value, 0.396);
  ASSERT_TRUE(cost.owned && cost.rented);
  EXPECT_DOUBLE_EQ(cost.owned->value, 107'000 / 43'800.0 + 10'700 / 8'760.0 + 0.396);
  EXPECT_DOUBLE_EQ(cost.rented->value, 12);
}

TEST(RunningCost, KnowsOnlyWhatIsPriced) {
  PriceSpec p = prices();
  p.gpu_purchase = {};
  EXPECT_FALSE(running_cost(p, all_of_it()).owned);
  p.gpu_rent = {};
  EXPECT_FALSE(running_cost(p, all_of_it()).rented);
}

// 1,000 tokens/s half of the time are 1.8 million an hour: 12 USD/h are 6.67 USD a million.
TEST(TokenCost, DividesByTheTokensOfAPaidHour) {
  EXPECT_DOUBLE_EQ(per_million_tokens(prices(), {12}, 1'000).value, 12 / 1.8);
  const RunningCost cost = running_cost(prices(), all_of_it());
  EXPECT_DOUBLE_EQ(*tokens_per_joule(prices(), cost, 1'000), 500 / 3'960.0);
  EXPECT_FALSE(tokens_per_joule(prices(), RunningCost{}, 1'000));
}

// 18 million tokens at 1.8 million an hour: 10 hours, 39.6 kWh, 120 USD of rent.
TEST(RunCost, IsHoursTimesPrice) {
  PriceSpec p = prices();
  p.training_tokens = 18e6;
  const RunningCost cost = running_cost(p, all_of_it());
  const RunCost run = cost_of_run(p, cost, 1'000);
  EXPECT_DOUBLE_EQ(run.hours, 10);
  EXPECT_DOUBLE_EQ(run.kilowatt_hours, 39.6);
  EXPECT_DOUBLE_EQ(run.rented->value, 120);
  EXPECT_DOUBLE_EQ(run.owned->value, 10 * cost.owned->value);
}

// 100 s at 36 USD/h are 1 USD. Of 4,000 prompt and 1,000 output tokens 2,500 are within the SLO, 10
// requests; a quarter of the GPUs prefills.
TEST(ServingCost, DividesWhatIsPaidByWhatIsServed) {
  ServedLoad load{.seconds = 100,
                  .requests = 10,
                  .prompt_tokens = 4'000,
                  .output_tokens = 1'000,
                  .good_tokens = 2'500,
                  .busy = 0.5};
  const ServingCost cost = serving_cost({36}, load);
  EXPECT_DOUBLE_EQ(cost.all->value, 200);
  EXPECT_DOUBLE_EQ(cost.prompt->value, 250);
  EXPECT_DOUBLE_EQ(cost.output->value, 1'000);
  EXPECT_DOUBLE_EQ(cost.good->value, 400);
  EXPECT_DOUBLE_EQ(cost.request->value, 0.1);
  EXPECT_FALSE(cost.prefill || cost.decode);
  load.prefill_share = 0.25;
  const ServingCost split = serving_cost({36}, load);
  EXPECT_DOUBLE_EQ(split.prefill->value, 62.5);
  EXPECT_DOUBLE_EQ(split.decode->value, 750);
  EXPECT_DOUBLE_EQ(split.prefill->value * 4e-3 + split.decode->value * 1e-3, 1);
  EXPECT_FALSE(serving_cost({36}, {.seconds = 100}).all);
}

// The draw is that of the run's busy share: 1.2 * (4 * (0.25 * 1000 + 0.75 * 100) + 1,100) W.
TEST(ServingCost, DrawFollowsTheBusyShare) {
  const RunningCost cost = running_cost(serving_prices(prices(), 0.25), all_of_it());
  EXPECT_DOUBLE_EQ(cost.power.value, 1.2 * (1'300 + 1'100));
}

}  // namespace
}  // namespace moesim
