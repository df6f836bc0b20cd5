// SPDX-License-Identifier: Apache-2.0
// The scene with a plan of decode steps.
#pragma once

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>
#include <string_view>
#include <vector>

#include "tests/cli/scene.hpp"

namespace moesim::cli_tests {

inline constexpr std::string_view kPlan = R"(scenario = "scenario.toml"

[set]
step.kind = "decode"
batch.context_tokens = 1000
batch.steps = 2
price.source = "invented"
price.basis = "assumed"
price.gpu_rent = "2 USD/h"
price.gpu_busy = "500 W"

[grid]
parallel.ep = [2, 3, 4, 8]
batch.tokens_per_rank = [4, 16, 2048]
dispatch.dispatcher = ["pairwise", "low_latency"]

)";

class Plans : public Scene {
 protected:
  Plans() { write("plan.toml", kPlan); }

  void write_plan(const std::string& tail) const { write("plan.toml", std::string(kPlan) + tail); }
  [[nodiscard]] nlohmann::json plan(std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {"plan", "plan.toml", "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return json_of(arguments);
  }
  void expect_mistake(const std::vector<std::string>& arguments, const std::string& words) const {
    const Outcome outcome = moesim(arguments);
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(outcome.err, words + "\n");
  }
};

}  // namespace moesim::cli_tests
