// SPDX-License-Identifier: Apache-2.0
// Files of cases, quantities in a report, and errors by tier.
#include "sim/calibrate/validation.hpp"

#include <gmock/gmock-more-matchers.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "sim/core/diagnostics.hpp"

namespace moesim::calibrate {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::ThrowsMessage;

constexpr std::string_view kHeader = "case,tier,scenario,set,quantity,measured,unit,source\n";

std::vector<ValidationCase> read(const std::string& rows) {
  return read_cases(traces::parse_csv("folder/cases.csv", std::string(kHeader) + rows));
}

TEST(ValidationCases, AreReadWithTheirOverridesAndUnits) {
  const auto cases = read(
      "a,unseen x,s.toml,cluster.nodes=2; parallel.ep=16;,summary.step_s.mean,1.5,ms,\"a, b\"\n"
      "b,fitted,/abs.toml,,steps.0.layers.0.phases.dispatch.max_s,120,us,c\n"
      "c,fitted,s.toml,,summary.dropped_ratio,12,%,c\n"
      "d,fitted,s.toml,,steps.0.layers.0.dispatch_bytes,2,MB,c\n"
      "e,end_to_end,s.toml,,summary.tokens_per_s_per_node,14800,1/s,c\n");
  ASSERT_EQ(cases.size(), 5U);
  EXPECT_DOUBLE_EQ(cases[4].unit_size, 1);
  EXPECT_EQ(cases[0].scenario, "folder/s.toml");
  EXPECT_THAT(cases[0].overrides, ElementsAre("cluster.nodes=2", "parallel.ep=16"));
  EXPECT_DOUBLE_EQ(cases[0].unit_size, 1e-3);
  EXPECT_EQ(cases[0].source, "a, b");
  EXPECT_EQ(cases[0].line, 2);
  EXPECT_EQ(cases[1].scenario, "/abs.toml");
  EXPECT_THAT(cases[1].overrides, IsEmpty());
  EXPECT_DOUBLE_EQ(cases[1].unit_size, 1e-6);
  EXPECT_DOUBLE_EQ(cases[2].unit_size, 0.01);
  EXPECT_DOUBLE_EQ(cases[3].unit_size, 1e6);
}

TEST(ValidationCases, EveryMistakeNamesItsLine) {
  const auto expect_message = [](const std::string& rows, const std::string& message) {
    EXPECT_THAT([&] { return read(rows); }, ThrowsMessage<UserError>(message)) << rows;
  };
  expect_message("", "folder/cases.csv: error: no cases");
  expect_message(",t,s.toml,,a_s,1,us,x\n", "folder/cases.csv:2:1: error: case is empty");
  expect_message("a,t,s.toml,,a_s,1,us,\n", "folder/cases.csv:2:1: error: source is empty");
  expect_message("a,t,s.toml,,a_s,fast,us,x\n",
                 "folder/cases.csv:2:1: error: measured: \"fast\" is not a number above 0");
  expect_message("a,t,s.toml,,a_s,-1,us,x\n",
                 "folder/cases.csv:2:1: error: measured: \"-1\" is not a number above 0");
  expect_message("a,t,s.toml,,a_s,inf,us,x\n",
                 "folder/cases.csv:2:1: error: measured: \"inf\" is not a number above 0");
  expect_message("a,t,s.toml,,a_s,1,us,x\na,t,s.toml,,a_s,1,us,x\n",
                 "folder/cases.csv:3:1: error: case \"a\" is there twice");
  expect_message("a,t,s.toml,,a_ratio,1,us,x\n",
                 "folder/cases.csv:2:1: error: unit: \"us\" does not fit a_ratio; expected 1 or %");
  expect_message("a,t,s.toml,,a_bytes,1,us,x\n",
                 "folder/cases.csv:2:1: error: unit: \"us\" does not fit a_bytes; expected "
                 "a size: <number> B, kB, MB, GB, TB, KiB, MiB or GiB");
  expect_message(
      "a,t,s.toml,,summary.tokens_per_s,1,us,x\n",
      "folder/cases.csv:2:1: error: unit: \"us\" does not fit summary.tokens_per_s; expected 1/s");
  EXPECT_THAT([] { return read_cases(traces::parse_csv("c.csv", "case,tier\na,b\n")); },
              ThrowsMessage<UserError>("c.csv: error: no column \"scenario\"; found: case, tier"));
}

nlohmann::ordered_json report() {
  return nlohmann::ordered_json::parse(
      R"({"seed": 1, "name": "x", "steps": [{"makespan_s": 0.25}, {"makespan_s": 0.5}], "none": []})");
}

double at(const std::string& quantity) {
  ValidationCase one;
  one.quantity = quantity;
  one.file = "c.csv";
  one.line = 2;
  return quantity_of(report(), one);
}

TEST(ValidationQuantities, AreFoundByKeysAndIndices) {
  EXPECT_EQ(at("seed"), 1);
  EXPECT_EQ(at("steps.1.makespan_s"), 0.5);
}

TEST(ValidationQuantities, AMissingOneNamesWhatIsThere) {
  const auto expect_message = [](const std::string& quantity, const std::string& message) {
    EXPECT_THAT([&] { return at(quantity); }, ThrowsMessage<UserError>(message)) << quantity;
  };
  expect_message("sed",
                 "c.csv:2:1: error: quantity: no \"sed\" in the report; there are: seed, name, "
                 "steps, none");
  expect_message("steps.2.makespan_s",
                 "c.csv:2:1: error: quantity: no \"2\" in the report at \"steps\"; there are: "
                 "indices 0 to 1");
  expect_message("steps.-1",
                 "c.csv:2:1: error: quantity: no \"-1\" in the report at \"steps\"; there are: "
                 "indices 0 to 1");
  expect_message("none.0",
                 "c.csv:2:1: error: quantity: no \"0\" in the report at \"none\"; there are: an "
                 "empty list");
  expect_message("seed.x",
                 "c.csv:2:1: error: quantity: no \"x\" in the report at \"seed\"; there are: no "
                 "keys, it is a single value");
  expect_message("steps.0",
                 "c.csv:2:1: error: quantity: \"steps.0\" is not a number; it holds: makespan_s");
  expect_message("name", "c.csv:2:1: error: quantity: \"name\" is not a number");
}

ValidationResult result(const std::string& tier, double measured, double predicted) {
  ValidationResult one;
  one.of.tier = tier;
  one.of.measured = measured;
  one.predicted = predicted;
  return one;
}

// Errors of tier b: -10 %, +20 %, +40 %. Sizes 10, 20, 40: the median is 20, nearest-rank P90 is
// 40; the bias is the median of the signed ones.
TEST(ValidationErrors, AreSummedUpByTierInOrderOfAppearance) {
  const std::vector<ValidationResult> results = {
      result("b", 100, 90), result("a", 10, 10), result("b", 100, 140), result("b", 100, 120)};
  const auto tiers = errors_by_tier(results);
  ASSERT_EQ(tiers.size(), 2U);
  EXPECT_EQ(tiers[0].tier, "b");
  EXPECT_EQ(tiers[0].errors.points, 3);
  EXPECT_NEAR(tiers[0].errors.median, 0.2, 1e-12);
  EXPECT_NEAR(tiers[0].errors.p90, 0.4, 1e-12);
  EXPECT_NEAR(tiers[0].errors.bias, 0.2, 1e-12);
  EXPECT_EQ(tiers[1].tier, "a");
  EXPECT_EQ(tiers[1].errors.median, 0);
}

}  // namespace
}  // namespace moesim::calibrate
